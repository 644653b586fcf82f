//! `doctor`: everything that stands between a person and a silent refresh, each with its reason and its fix.
//!
//! Each part (`report`) looks at one thing after the other, and what it found is judged by functions that touch nothing
//! (`judge_…`). What was not looked at is said to be so: the mark for "right" stands only where something was found
//! right. Nothing here is a secret, so that all of it can be pasted into an issue: no token, no password of a proxy, no
//! value of the config but names, start URLs and regions.

mod config;
mod job;
mod network;
mod sessions;

use std::fmt::Display;

use crate::cli::Options;
use crate::commands::daemon;
use crate::commands::output::{self, Mark, Paint};
use crate::commands::store::Store;
use crate::commands::survey::{self, Known};
use crate::error::{Error, Exit};
use crate::format::json::quote;
use crate::format::text::clean;
use crate::help;
use crate::system::env::{self, Env};

#[derive(Debug, Default)]
struct Findings {
    list: Vec<Finding>,
    /// In `--json`, that of the findings to come.
    area: &'static str,
    /// How many of them have been shown.
    shown: usize,
    is_json: bool,
    /// A blank, the home folder and a slash: what stands before a path in it.
    before_home: String,
}

#[derive(Debug)]
struct Finding {
    area: &'static str,
    mark: Mark,
    /// What it asks for.
    exit: Exit,
    subject: String,
    text: String,
    /// What to do, or nothing. Lines that begin with a blank are to be copied as they stand.
    fix: String,
}

impl Findings {
    /// `told` looks like what is shown: a mark (✓ right, ! works and will bite, ✗ broken and the exit status of that, - not
    /// looked at or not to be had), a blank, a subject, a colon, the text and, from the next line on, the fix. Each
    /// `{}` in it is one of `parts`. A `format!` in each place would be 8 kB more of code.
    fn tell(&mut self, told: &str, parts: &[&dyn Display]) {
        let mut parts = parts.iter();
        let mut filled = |template: &str| {
            let mut text = String::new();
            for (i, piece) in template.split('{').enumerate() {
                if i > 0 {
                    text.extend(parts.next().map(ToString::to_string));
                }
                text.push_str(piece.strip_prefix('}').unwrap_or(piece));
            }
            text
        };
        let (line, fix) = told.split_once('\n').unwrap_or((told, ""));
        let (mark, line) = line.split_once(' ').unwrap_or_default();
        let (subject, text) = line.split_once(':').unwrap_or_default();
        let (mark, exit) = match mark {
            "✓" => (Mark::Good, Exit::Ok),
            "!" => (Mark::Soon, Exit::Ok),
            "✗1" => (Mark::Bad, Exit::Failed),
            "✗2" => (Mark::Bad, Exit::Usage),
            "✗3" => (Mark::Bad, Exit::SignIn),
            _ => (Mark::Idle, Exit::Ok),
        };
        self.list.push(Finding {
            area: self.area,
            mark,
            exit,
            subject: clean(&filled(subject)),
            text: clean(&filled(text.get(1..).unwrap_or_default())),
            fix: filled(fix),
        });
    }

    /// What an error says.
    fn fail(&mut self, told: &str, error: &Error) {
        self.tell(told, &[&error.line(), &error.way_out()]);
    }

    /// Shows the findings that have not been shown yet. Where that fails, it fails at the end too.
    fn show(&mut self, paint: Paint, heading: &str) {
        const INDENT: &str = "         ";
        let mut page = format!("{}\n\n", paint.bold(heading));
        let findings = &self.list[self.shown..];
        let column = paint.column(findings.iter().map(|finding| finding.subject.as_str()));
        // Shorter, whoever's home it is, and for a shell the same; what is in quotes stays as it is.
        let shortened = |text: &str| {
            let text = format!(" {text}");
            text.replace(&self.before_home, " ~/").split_off(1)
        };
        let mut gap = "";
        for finding in findings {
            let text = shortened(&finding.text);
            page.push_str(gap);
            paint.line(&mut page, finding.mark, &finding.subject, column, &text);
            gap = "";
            let mut lead = "    fix: ";
            for line in finding.fix.split('\n').filter(|_| !finding.fix.is_empty()) {
                let line = clean(&shortened(line));
                page.push_str(if line.is_empty() { "" } else { lead });
                match line.strip_prefix(' ') {
                    Some(line) => page.extend([line, "\n"]),
                    None => paint.wrap(&mut page, &line, INDENT.len()),
                }
                if lead == INDENT {
                    gap = "\n";
                }
                lead = INDENT;
            }
        }
        self.shown = self.list.len();
        page.push('\n');
        if !self.is_json {
            let _ = output::print(&page);
        }
    }

    fn summary(&self, has_live_session: bool) -> String {
        let count = |mark| {
            let of_mark = self.list.iter().filter(|finding| finding.mark == mark);
            of_mark.count()
        };
        match (count(Mark::Bad), count(Mark::Soon)) {
            (0, 0) if has_live_session => {
                "All is well: every session is refreshed in the background\n".to_string()
            }
            (0, 0) => "Nothing is wrong, but nobody is signed in\n".to_string(),
            (problems, warnings) => {
                let s = |count| if count == 1 { "" } else { "s" };
                let (s, t) = (s(problems), s(warnings));
                format!("{problems} problem{s}, {warnings} warning{t}\n")
            }
        }
    }

    fn json(&self) -> String {
        let mut findings = Vec::new();
        for finding in &self.list {
            let area = finding.area;
            let mark = match finding.mark {
                Mark::Good => "ok",
                Mark::Soon => "warning",
                Mark::Bad => "problem",
                Mark::Idle => "notChecked",
            };
            let (subject, text) = (quote(&finding.subject), quote(&finding.text));
            let fix = match finding.fix.strip_prefix(' ').unwrap_or(&finding.fix) {
                "" => "null".to_string(),
                fix => quote(fix),
            };
            findings.push(format!(
                r#"{{"area": "{area}", "subject": {subject}, "mark": "{mark}", "text": {text}, "fix": {fix}}}"#
            ));
        }
        let findings = findings.join(", ");
        format!(r#"{{"version": 1, "findings": [{findings}]}}"#) + "\n"
    }
}

/// # Errors
/// Standard output cannot be written. Everything else is a finding.
pub fn run(env: &Env, options: &Options) -> Result<Exit, Error> {
    let now = env::now();
    let store = Store::new(env);
    let daemon = daemon::look(env);
    let paint = Paint::for_output(env).narrowed(help::COLUMNS);
    let mut findings = Findings {
        is_json: options.json,
        before_home: format!(" {}/", env.home.display()),
        ..Findings::default()
    };
    let settings = config::report(env, daemon.settings, &mut findings);
    findings.show(paint, "Config");
    let survey = survey::survey(env, &settings, &store, now, false).ok();
    sessions::report(env, &store, survey.as_ref(), &mut findings);
    findings.show(paint, "Sessions");
    let (of_job, heading) = match &daemon.env {
        Some(env) => (env, "Network (with the settings of the job)"),
        None => (env, "Network"),
    };
    network::report(of_job, &settings, &store, now, &mut findings);
    findings.show(paint, heading);
    job::report(env, &daemon, &settings, now, &mut findings);
    findings.show(paint, "Job");
    let has_live_session = survey.is_some_and(|survey| survey.known().any(Known::is_alive));
    output::print(&match options.json {
        true => findings.json(),
        false => findings.summary(has_live_session),
    })?;
    let exits = findings.list.iter().map(|finding| finding.exit);
    let exit = exits.max().unwrap_or(Exit::Ok);
    Ok(exit)
}
