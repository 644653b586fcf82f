//! The terminal while a person signs in: what to do, in plain words, and how much time is left.

use std::time::Instant;

use crate::commands::output::{self, Paint};
use crate::commands::spinner::Spinner;
use crate::error::Error;
use crate::format::text::{clean, width};
use crate::sso::oidc::Device;
use crate::system::env::{self, Env};

#[derive(Debug)]
pub struct Screen {
    /// Nobody reads: the asker has none but the browser.
    is_quiet: bool,
    paint: Paint,
    spinner: Option<Spinner>,
}

impl Screen {
    pub fn new(env: &Env) -> Screen {
        Screen {
            is_quiet: false,
            paint: Paint::for_output(env),
            spinner: Spinner::new(),
        }
    }

    pub fn quiet(env: &Env) -> Screen {
        Screen {
            is_quiet: true,
            spinner: None,
            ..Screen::new(env)
        }
    }

    fn say(&self, text: &str) -> Result<(), Error> {
        match self.is_quiet {
            true => Ok(()),
            false => output::print(&self.paint.prose(text)),
        }
    }

    /// The page to allow access on, which the browser opens by itself where it can.
    ///
    /// # Errors
    /// As `output::print`.
    pub fn show_page(&self, session: &str, url: &str, opens_browser: bool) -> Result<(), Error> {
        let head = self.head(session);
        let (what, url) = match opens_browser {
            true => (
                "Your browser opens now. Allow the access there; that is all.\n\n  \
                 If no page appears, open this address in a browser on this machine:",
                self.paint.dim(url),
            ),
            false => (
                "Open this address in a browser on this machine, and allow the access there:",
                self.paint.bold(url),
            ),
        };
        // At the edge, so that a terminal that breaks it in two puts no blank between.
        self.say(&format!("{head}  {what}\n\n{url}\n\n"))
    }

    /// The code, and the page to enter it on, for a browser on any machine.
    ///
    /// # Errors
    /// As `output::print`.
    pub fn show_code(&self, session: &str, device: &Device) -> Result<(), Error> {
        let code = clean(&device.user_code);
        let shown = self.paint.bold(&code);
        let line = "─".repeat(width(&code) + 8);
        let blank = " ".repeat(width(&code) + 8);
        let framed = match env::is_unicode() {
            true => format!(
                "┌{line}┐\n       │{blank}│\n       │    {shown}    │\n       │{blank}│\n       └{line}┘"
            ),
            false => shown.into_owned(),
        };
        let mut text = format!(
            "{}  1. Open this address in a browser, on any computer or phone:\n\n       {}\n\n  \
             2. Enter this code there, and allow the access:\n\n       {framed}\n\n",
            self.head(session),
            self.paint.bold(&clean(&device.verification_uri)),
        );
        if let Some(complete) = &device.verification_uri_complete {
            text.push_str(&format!(
                "  Or open this address, which has the code in it:\n\n       {}\n\n",
                self.paint.dim(&clean(complete))
            ));
        }
        text.push_str("  Allow it only if you asked for it yourself, just now.\n\n");
        self.say(&text)
    }

    fn head(&self, session: &str) -> String {
        let title = format!("Signing in to {}", clean(session));
        format!("\n  {}\n\n", self.paint.bold(&title))
    }

    /// Draws the line that waits, now and then.
    pub fn tick(&mut self, ends: Instant) {
        let Some(spinner) = &mut self.spinner else {
            return;
        };
        let left = ends.saturating_duration_since(Instant::now()).as_secs();
        spinner.draw(&[
            "Waiting for you".to_string(),
            format!("{}:{:02} left", left / 60, left % 60),
            "Ctrl-C cancels".to_string(),
        ]);
    }

    /// Something that happened while waiting.
    pub fn note(&mut self, text: &str) {
        self.clear();
        // Nobody is told where even that fails.
        let _ = self.say(&format!("  {text}\n\n"));
    }

    /// Takes the line that waits away.
    pub fn clear(&mut self) {
        if let Some(spinner) = &mut self.spinner {
            spinner.clear();
        }
    }
}
