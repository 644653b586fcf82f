//! The one line that moves on standard error while somebody at a terminal waits; nobody else sees it.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::format::text::width;
use crate::system::env;

/// How often it is drawn anew.
pub const FRAME: Duration = Duration::from_millis(120);

const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAMES_IN_ASCII: [&str; 4] = ["|", "/", "-", "\\"];

#[derive(Debug)]
pub struct Spinner {
    frames: &'static [&'static str],
    /// Between two parts.
    dot: &'static str,
    frame: usize,
    drawn: Option<Instant>,
}

impl Spinner {
    /// None where there is no terminal, or one that cannot take a line back.
    pub fn new() -> Option<Spinner> {
        let (frames, dot): (&[&str], &str) = match env::is_unicode() {
            true => (&FRAMES, " · "),
            false => (&FRAMES_IN_ASCII, ", "),
        };
        let is_able = env::columns(io::stderr().as_fd()).is_some() && !env::is_dumb();
        is_able.then_some(Spinner {
            frames,
            dot,
            frame: 0,
            drawn: None,
        })
    }

    /// Draws the line where it is time to: as many of `parts` as the window has room for just now, because of a line that
    /// a terminal has broken in two only the second half could be taken back.
    pub fn draw(&mut self, parts: &[String]) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
            return;
        }
        let columns = env::columns(io::stderr().as_fd()).unwrap_or(0);
        let mut line = format!("  {}", self.frames[self.frame % self.frames.len()]);
        let mut sign = " ";
        for part in parts {
            // The last cell stays empty: some terminals go on to the next row there.
            if width(&line) + width(sign) + width(part) >= columns {
                break;
            }
            line.push_str(sign);
            line.push_str(part);
            sign = self.dot;
        }
        show(&line);
        self.frame += 1;
        self.drawn = Some(Instant::now());
    }

    /// Takes it away.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            show("");
        }
    }
}

/// In place of what stands in this row.
fn show(line: &str) {
    let _ = write!(io::stderr(), "\r\u{1b}[2K{line}");
}
