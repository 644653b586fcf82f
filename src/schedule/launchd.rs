//! The job as launchd takes it: the plist, the steps that register it, and what each exit status of `launchctl` means.
//!
//! Only exit statuses are believed: the text of `launchctl print` is, in its own words, not an API. `bootout` answers when
//! it has been accepted, the label stays taken until the old process is gone, and a `bootstrap` meanwhile fails with 5
//! or 37 or, worse, leaves the old definition in place. So the order is: out, wait until it is gone, write, enable,
//! in, and look. `enable` comes before `bootstrap` because an override set by `unload -w` outlives the plist and makes
//! `bootstrap` fail with 119, on older systems with 5.
//!
//! `StartInterval` alone loses what falls into sleep; the calendar entries are made up for on waking. A run that both
//! cause at once finds nothing to do.

use std::path::{Path, PathBuf};

use super::{ARGUMENTS, Insist, Installed, Step, argv, minutes, representable};
use crate::error::Error;

pub const LABEL: &str = "com.aws.sso-refresh";

/// `print` of something that launchd does not know; 112: of a domain that does not exist.
const UNKNOWN: i32 = 113;
const NO_DOMAIN: i32 = 112;

/// `bootout`: accepted, was not there, still draining, or the catch-all that recent systems give for an absent job.
/// Whether it is gone is asked afterwards.
const OUT: &[i32] = &[0, 3, 5, 36, 37, NO_DOMAIN, UNKNOWN];

/// `bootstrap`: already there, or the old one is not quite gone.
const NOT_YET: &[i32] = &[5, 17, 36, 37];

/// `bootstrap` of a label that somebody disabled.
const DISABLED: i32 = 119;

/// Where a job of this user can live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// The login at the screen: browser, notifications.
    Gui,
    /// In the background, as over SSH; outlives the login at the screen.
    User,
}

/// This user's place in launchd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    pub uid: u32,
    pub plist: PathBuf,
}

/// What was found before anything is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The file holds exactly what would be written.
    pub is_same: bool,
    /// launchd refuses a plist that is a link.
    pub is_link: bool,
    pub registered: Vec<Domain>,
    pub is_disabled: bool,
}

impl Agent {
    pub fn new(home: &Path, uid: u32) -> Agent {
        Agent {
            uid,
            plist: home.join(format!("Library/LaunchAgents/{LABEL}.plist")),
        }
    }

    fn domain(&self, domain: Domain) -> String {
        match domain {
            Domain::Gui => format!("gui/{}", self.uid),
            Domain::User => format!("user/{}", self.uid),
        }
    }

    fn service(&self, domain: Domain) -> String {
        format!("{}/{LABEL}", self.domain(domain))
    }

    /// Ends with 0 where the domain exists.
    pub fn probe_domain(&self, domain: Domain) -> Vec<String> {
        argv(&["launchctl", "print", &self.domain(domain)])
    }

    /// Ends with 0 where the job is registered.
    pub fn probe(&self, domain: Domain) -> Vec<String> {
        argv(&["launchctl", "print", &self.service(domain)])
    }

    /// Its output is for `pid`; looks only into the domain of the login that asks.
    pub fn list(&self) -> Vec<String> {
        argv(&["launchctl", "list", LABEL])
    }

    /// Its output is for `is_disabled`.
    pub fn probe_disabled(&self, domain: Domain) -> Vec<String> {
        argv(&["launchctl", "print-disabled", &self.domain(domain)])
    }

    /// What makes the job run, with `text` as its plist. Empty where it already does.
    ///
    /// # Errors
    /// The path of the plist cannot be written down.
    pub fn install(&self, domain: Domain, text: &str, found: &Found) -> Result<Vec<Step>, Error> {
        let plist = representable(&self.plist)?;
        let enable = argv(&["launchctl", "enable", &self.service(domain)]);
        let mut steps = Vec::new();
        let is_current = found.is_same && !found.is_link;
        if is_current && found.registered.contains(&domain) {
            if found.is_disabled {
                let accept = &[];
                steps.push(Step::Run {
                    argv: enable,
                    accept,
                });
            }
            return Ok(steps);
        }
        // A job in the other domain that is as it should be is kept until this domain has taken it: it may not.
        let (before, after) = match is_current {
            true => (&[][..], &found.registered[..]),
            false => (&found.registered[..], &[][..]),
        };
        steps.extend(self.out(before));
        if found.is_link {
            steps.push(Step::Remove {
                path: self.plist.clone(),
            });
        }
        if found.is_link || !found.is_same {
            steps.push(Step::Write {
                path: self.plist.clone(),
                text: text.to_string(),
                mode: 0o644,
            });
        }
        steps.push(Step::Run {
            argv: enable.clone(),
            accept: &[],
        });
        steps.push(Step::Insist(Insist {
            argv: argv(&["launchctl", "bootstrap", &self.domain(domain), plist]),
            proof: self.probe(domain),
            again: NOT_YET,
            remedy: (DISABLED, enable),
            // Always ends with 0, whatever it did; it still gets a job in where `bootstrap` keeps saying 5 for reasons
            // that only the system's log knows.
            last_resort: argv(&["launchctl", "load", "-w", plist]),
        }));
        steps.extend(self.out(after));
        Ok(steps)
    }

    /// What takes the job away. The label stays enabled: a disabled one would outlive the uninstalling.
    pub fn uninstall(&self, found: &Found) -> Vec<Step> {
        let mut steps = self.out(&found.registered);
        steps.push(Step::Remove {
            path: self.plist.clone(),
        });
        steps
    }

    fn out(&self, registered: &[Domain]) -> Vec<Step> {
        let steps = registered.iter().flat_map(|domain| {
            [
                Step::HoldBack,
                Step::Run {
                    argv: argv(&["launchctl", "bootout", &self.service(*domain)]),
                    accept: OUT,
                },
                Step::Await {
                    argv: self.probe(*domain),
                    until: &[UNKNOWN, NO_DOMAIN],
                },
            ]
        });
        steps.collect()
    }
}

/// Whether the output of `print-disabled` holds an override that keeps the job off. Absent means enabled.
pub fn is_disabled(output: &str) -> bool {
    let line = output.lines().find_map(|line| {
        line.trim()
            .strip_prefix('"')?
            .strip_prefix(LABEL)?
            .strip_prefix("\" =>")
    });
    line.is_some_and(|state| matches!(state.trim(), "disabled" | "true"))
}

/// The process of a running job in the output of `launchctl list LABEL`, whose form is kept stable.
pub fn pid(output: &str) -> Option<u32> {
    let line = output
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"PID\" = "))?;
    line.trim_end_matches(';').parse().ok()
}

/// Whether to try the other domain after this one refused for good with this status. What it keeps saying 5 to, the last
/// resort may have put into the other one.
pub fn is_wrong_domain(status: i32) -> bool {
    matches!(status, NO_DOMAIN | 125) || NOT_YET.contains(&status)
}

/// Why `launchctl` ended with this status, and what to do before `command` is run again; `plist` as it is to be shown.
pub fn explain(status: i32, plist: &str, command: &str) -> (&'static str, String) {
    match status {
        0 | 3 | UNKNOWN => (
            "launchd does not keep the job",
            format!(
                "it may have been switched off in System Settings > General > Login Items & Extensions; switch it on \
                 there and run `{command}` again"
            ),
        ),
        5 | 17 | 36 | 37 => (
            "launchd does not take the job",
            "see why with `log show --last 5m --predicate 'process == \"launchd\"' --style compact`; a home folder on \
             an external volume is one reason"
                .to_string(),
        ),
        NO_DOMAIN => (
            "this user is not logged in",
            format!("log in at the screen and run `{command}` there"),
        ),
        DISABLED => (
            "the job is disabled and stays so",
            format!(
                "switch it on in System Settings > General > Login Items & Extensions, then run `{command}`"
            ),
        ),
        122 => (
            "launchd refuses the owner or the mode of the file",
            format!("it must belong to you and not be writable for others; see `ls -leO@ {plist}`"),
        ),
        124 => (
            "this user is logging out",
            format!("run `{command}` after the next login"),
        ),
        125 => (
            "this kind of login cannot hold a job",
            format!("log in at the screen and run `{command}` in a terminal there"),
        ),
        134 => (
            "the job may not run in this kind of login",
            format!("log in at the screen and run `{command}` there; please report this"),
        ),
        155 => (
            "the program is quarantined",
            "`xattr -d com.apple.quarantine` on the program takes that away".to_string(),
        ),
        _ => (
            "launchd refused",
            format!("`launchctl error {status}` tells what the status means"),
        ),
    }
}

/// The plist of a job that runs every `interval` minutes.
///
/// # Errors
/// The program's path cannot be written down.
pub fn plist(program: &Path, interval: i64) -> Result<String, Error> {
    let program = representable(program)?;
    let words = [program].into_iter().chain(ARGUMENTS);
    let words: String = words
        .map(|word| format!("\t\t<string>{}</string>\n", escape(word)))
        .collect();
    let minutes: String = minutes(interval)
        .map(|minute| {
            format!(
                "\t\t<dict>\n\t\t\t<key>Minute</key>\n\t\t\t<integer>{minute}</integer>\n\t\t</dict>\n"
            )
        })
        .collect();
    let seconds = interval * 60;
    Ok(format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>{LABEL}</string>
	<key>ProgramArguments</key>
	<array>
{words}	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>StartInterval</key>
	<integer>{seconds}</integer>
	<key>StartCalendarInterval</key>
	<array>
{minutes}	</array>
	<key>ProcessType</key>
	<string>Background</string>
	<key>LowPriorityIO</key>
	<true/>
	<key>AbandonProcessGroup</key>
	<true/>
	<key>ExitTimeOut</key>
	<integer>5</integer>
	<key>LimitLoadToSessionType</key>
	<array>
		<string>Aqua</string>
		<string>Background</string>
	</array>
</dict>
</plist>
"#
    ))
}

/// The program that a plist names, its own or another tool's; `None` where it cannot be told, as in a binary plist.
pub fn installed(plist: &str) -> Option<Installed> {
    let strings = plist
        .split_once("<key>ProgramArguments</key>")
        .map_or("", |(_, rest)| rest.split("</array>").next().unwrap_or(""));
    let mut words = strings.split("<string>").skip(1).map(|word| {
        let word = word.split("</string>").next().unwrap_or("");
        unescape(word)
    });
    let program = words.next()?;
    let rest: Vec<String> = words.collect();
    let is_ours = rest == ARGUMENTS;
    // A script is named after the interpreter that runs it.
    let program = match rest.first() {
        Some(script) if !is_ours && script.starts_with('/') => script.clone(),
        _ => program,
    };
    Some(Installed { program, is_ours })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::tests::check_golden;

    fn agent() -> Agent {
        Agent::new(Path::new("/Users/ada"), 501)
    }

    /// The steps in short: the verb and what it is about.
    fn verbs(steps: &[Step]) -> Vec<String> {
        let verb = |argv: &[String]| argv[1..].join(" ").replace(LABEL, "L");
        let told = steps.iter().map(|step| match step {
            Step::Write { mode, .. } => format!("write {mode:o}"),
            Step::Remove { .. } => "remove".to_string(),
            Step::HoldBack => "hold back".to_string(),
            Step::Run { argv, .. } => verb(argv),
            Step::Await { argv, .. } => format!("await {}", verb(argv)),
            Step::Insist(insist) => format!("insist {}", verb(&insist.argv[..3])),
        });
        told.collect()
    }

    fn check(found: &Found, domain: Domain, expected: &[&str]) {
        let steps = agent()
            .install(domain, "text", found)
            .expect("a plain path");
        assert_eq!(verbs(&steps), expected, "{found:?}");
    }

    #[test]
    fn only_what_is_not_as_it_should_be_is_touched() {
        use Domain::{Gui, User};
        let found = |is_same, registered: &[Domain]| Found {
            is_same,
            registered: registered.to_vec(),
            ..Found::default()
        };
        let (hold, out) = ("hold back", "bootout gui/501/L");
        let gone = "await print gui/501/L";
        let (enable, insist) = ("enable gui/501/L", "insist bootstrap gui/501");
        check(&found(true, &[Gui]), Gui, &[]);
        let disabled = Found {
            is_disabled: true,
            ..found(true, &[Gui])
        };
        check(&disabled, Gui, &[enable]);
        check(&found(true, &[]), Gui, &[enable, insist]);
        check(&found(false, &[]), Gui, &["write 644", enable, insist]);
        check(
            &found(false, &[Gui]),
            Gui,
            &[hold, out, gone, "write 644", enable, insist],
        );
        let link = Found {
            is_link: true,
            ..found(true, &[Gui])
        };
        check(
            &link,
            Gui,
            &[hold, out, gone, "remove", "write 644", enable, insist],
        );
        let user_out = [hold, "bootout user/501/L", "await print user/501/L"];
        check(
            &found(true, &[User]),
            Gui,
            &[&[enable, insist], &user_out[..]].concat(),
        );
        check(
            &found(false, &[User]),
            Gui,
            &[&user_out[..], &["write 644", enable, insist]].concat(),
        );
        check(
            &found(false, &[]),
            User,
            &[
                "write 644",
                "enable user/501/L",
                "insist bootstrap user/501",
            ],
        );
        assert_eq!(
            verbs(&agent().uninstall(&found(true, &[Gui]))),
            [hold, out, gone, "remove"]
        );
        assert_eq!(verbs(&agent().uninstall(&found(false, &[]))), ["remove"]);
    }

    #[test]
    fn launchd_is_asked_about_this_user_and_this_job() {
        let agent = agent();
        for (asked, expected) in [
            (agent.probe_domain(Domain::Gui), "launchctl print gui/501"),
            (
                agent.probe(Domain::User),
                "launchctl print user/501/com.aws.sso-refresh",
            ),
            (
                agent.probe_disabled(Domain::User),
                "launchctl print-disabled user/501",
            ),
            (agent.list(), "launchctl list com.aws.sso-refresh"),
        ] {
            assert_eq!(asked.join(" "), expected);
        }
    }

    #[test]
    fn every_status_has_its_place() {
        let steps = agent().install(Domain::Gui, "", &Found::default());
        let Some(Step::Insist(insist)) = steps.expect("a plain path").pop() else {
            panic!("it ends with the registration");
        };
        for status in [5, 17, 36, 37] {
            assert!(insist.again.contains(&status), "{status} passes");
        }
        for status in [112, 113, 119, 122, 124, 125, 134] {
            assert!(
                !insist.again.contains(&status),
                "{status} does not pass by waiting"
            );
        }
        assert_eq!(insist.remedy.0, 119);
        for status in [0, 3, 5, 36, 112, 113] {
            assert!(OUT.contains(&status), "{status} is a bootout on its way");
        }
        for (status, is_wrong) in [
            (112, true),
            (125, true),
            (5, true),
            (122, false),
            (134, false),
        ] {
            assert_eq!(is_wrong_domain(status), is_wrong);
        }
        let statuses = [5, 112, 113, 119, 122, 124, 125, 134, 155, 99];
        let mut told: Vec<&str> = statuses.map(|status| explain(status, "p", "c").0).to_vec();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), statuses.len(), "each says something of its own");
        assert!(
            statuses
                .iter()
                .all(|status| !explain(*status, "p", "c").1.is_empty())
        );
    }

    #[test]
    fn an_override_is_found_in_both_spellings_and_for_this_label_only() {
        let check = |line: &str, expected: bool| {
            let output = format!("disabled services = {{\n\t\"a.b\" => disabled\n{line}\n}}\n");
            assert_eq!(is_disabled(&output), expected, "{line}");
        };
        check("\t\"com.aws.sso-refresh\" => disabled", true);
        check("\t\"com.aws.sso-refresh\" => true", true);
        check("\t\"com.aws.sso-refresh\" => enabled", false);
        check("\t\"com.aws.sso-refresh\" => false", false);
        check("\t\"com.aws.sso-refresh.other\" => disabled", false);
        check("", false);
    }

    #[test]
    fn a_process_is_read_from_the_list() {
        let running = "{\n\t\"LastExitStatus\" = 256;\n\t\"PID\" = 71237;\n};\n";
        assert_eq!(pid(running), Some(71237));
        assert_eq!(pid("{\n\t\"LastExitStatus\" = 0;\n};\n"), None);
    }

    #[test]
    fn the_plist_is_as_people_expect_it() {
        let text = plist(Path::new("/Users/ada/.local/bin/aws-sso-refresh"), 10);
        check_golden("com.aws.sso-refresh.plist", &text.expect("a plain path"));
    }

    #[test]
    fn a_program_is_read_back_whatever_its_path() {
        for path in [
            "/a",
            "/a b/<c> & \"d\" 'e'",
            "/&amp;lt;",
            "/é日本",
            "/</string>",
        ] {
            let text = plist(Path::new(path), 60).expect("it can be written");
            let program = path.to_string();
            let is_ours = true;
            assert_eq!(installed(&text), Some(Installed { program, is_ours }));
        }
        assert_eq!(installed("bplist00"), None);
    }

    #[test]
    fn another_tools_program_is_named_by_its_script_and_not_by_its_options() {
        let with_option = "<key>ProgramArguments</key><array><string>/usr/bin/other</string><string>-v</string></array>";
        for (text, program) in [
            (
                include_str!("../../fixtures/schedule/bash-tool.plist"),
                "/usr/local/bin/aws-sso-refresh.sh & co",
            ),
            (with_option, "/usr/bin/other"),
        ] {
            let program = program.to_string();
            let is_ours = false;
            assert_eq!(installed(text), Some(Installed { program, is_ours }));
        }
    }
}
