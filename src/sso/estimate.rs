//! When a session will end: estimated from what was seen of it and of the one before, and never promised.
//!
//! The service does not say. The first of these that applies is the answer: an access token clearly shorter than
//! usual, because the service cuts the last one to the session's end; `AWS_SSO_SESSION_DURATION`; the lifetime of the
//! last session, where its end was seen when it came; eight hours, which is what administrators get who choose nothing.

use crate::format::time::{HOUR, MINUTE, Timestamp};
use crate::sso::history::History;
use crate::sso::token::{CachedToken, Fingerprint};

/// A session's length where nothing better is known: Identity Center's default. Seconds.
const SESSION_DURATION: i64 = 8 * HOUR;

/// A token with this much less than usual is clearly shorter; seconds get lost on every way.
const CLEARLY_SHORTER: i64 = 5 * MINUTE;

/// A person is told of the end this long before it.
const AHEAD: i64 = 30 * MINUTE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    pub at: Timestamp,
    pub basis: Basis,
}

/// What an estimate rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The token cannot be renewed: the session ends with it.
    Token,
    ShortToken,
    Configured,
    Observed,
    Default,
}

impl Basis {
    /// As in `status --json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Token => "tokenExpiry",
            Basis::ShortToken => "shorterExpiresIn",
            Basis::Configured => "AWS_SSO_SESSION_DURATION",
            Basis::Observed => "lastSession",
            Basis::Default => "default",
        }
    }
}

/// The end of the session of `token`; `None` where nothing is known of its beginning, or where an estimate has
/// proved wrong already.
pub fn session_end(
    now: Timestamp,
    token: &CachedToken,
    history: &History,
    configured: Option<i64>,
) -> Option<Estimate> {
    let estimate = if token.renewal.is_err() {
        Estimate {
            at: token.expires_at,
            basis: Basis::Token,
        }
    } else if is_cut_short(token, history) {
        Estimate {
            at: token.expires_at,
            basis: Basis::ShortToken,
        }
    } else {
        let began = began(history).filter(|at| *at <= now)?;
        let (length, basis) = match (configured, history.lifetime) {
            (Some(length), _) => (length, Basis::Configured),
            (None, Some(length)) => (length, Basis::Observed),
            (None, None) => (SESSION_DURATION, Basis::Default),
        };
        Estimate {
            at: began.plus(length),
            basis,
        }
    };
    (estimate.at > now).then_some(estimate)
}

/// Whether a person should be told now that the session ends soon.
pub fn is_warning_due(now: Timestamp, estimate: &Estimate, history: &History) -> bool {
    let left = estimate.at.since(now);
    let was_told = history
        .warned_for
        .is_some_and(|told| estimate.at.since(told).abs() < AHEAD);
    (0..=AHEAD).contains(&left) && !was_told
}

/// The refresh token of `token` where it is not one that this program stored or saw refused: another tool has signed in.
pub fn sign_in_elsewhere(token: &CachedToken, history: &History) -> Option<Fingerprint> {
    if history.stored.is_none() && history.refused.is_none() {
        return None; // nothing is known to compare it with
    }
    let stored_until = history
        .last_success
        .zip(history.expires_in)
        .map(|(at, expires_in)| at.plus(expires_in));
    if stored_until == Some(token.expires_at) {
        return None; // ours to the second; hashing each token would be a third of the work of an idle check
    }
    let there = token.refresh_fingerprint();
    there.filter(|_| there != history.stored && there != history.refused)
}

/// Takes note of a sign-in at `now`, by this program or another. One that found the portal's session alive inherits
/// its beginning (`inherited`): the portal does not start the clock anew.
pub fn note_sign_in(history: &mut History, now: Timestamp, inherited: Option<Timestamp>) {
    let inherited = inherited.filter(|at| *at <= now);
    if inherited.is_none() {
        history.usual_expires_in = None;
    }
    history.expires_in = None; // of another token, perhaps cut short
    history.session_began = inherited.or(Some(now));
    history.last_browser_login = Some(now);
    history.last_success = None; // of another token
    history.refused = None;
    history.logged_out = None;
    history.wrong_told = None;
    history.last_failure = None;
    history.failures = 0;
    history.pause = 0;
}

/// Takes note of the lifetime that the service granted.
pub fn note_grant(history: &mut History, expires_in: i64) {
    let usual = history.usual_expires_in.unwrap_or(0);
    history.usual_expires_in = Some(usual.max(expires_in));
    history.expires_in = Some(expires_in);
}

/// Takes note of a refusal at `now` of a token that was due since `due_at`. The lifetime counts only where the end
/// was seen within two checks of the moment from which it could be seen, which is no earlier than the last success:
/// a laptop that slept knows nothing.
pub fn note_refusal(history: &mut History, now: Timestamp, due_at: Timestamp, interval: i64) {
    let Some(began) = began(history).filter(|at| *at <= now) else {
        return;
    };
    let last_success = history.last_success.filter(|at| *at <= now);
    let visible_from = last_success.map_or(due_at, |at| at.max(due_at));
    if now.since(visible_from) <= 2 * interval {
        history.lifetime = Some(now.since(began));
    }
}

/// When the session began, as far as it was seen.
pub fn began(history: &History) -> Option<Timestamp> {
    history.session_began.or(history.last_browser_login)
}

fn is_cut_short(token: &CachedToken, history: &History) -> bool {
    let (Some(usual), Some(granted)) = (history.usual_expires_in, history.expires_in) else {
        return false;
    };
    granted < usual - CLEARLY_SHORTER && history.stored == token.refresh_fingerprint()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::time::DAY;
    use crate::sso::token::Secret;

    const NOW: Timestamp = Timestamp(1_795_464_251);

    fn token(rest: &str) -> CachedToken {
        let text = format!(
            r#"{{"accessToken": "a", "expiresAt": "{}"{rest}}}"#,
            NOW.plus(HOUR)
        );
        CachedToken::parse(text.as_bytes()).expect("a token")
    }

    fn renewable() -> CachedToken {
        token(r#", "refreshToken": "r", "clientId": "c", "clientSecret": "s""#)
    }

    fn signed_in(ago: i64) -> History {
        History {
            last_browser_login: Some(NOW.plus(-ago)),
            ..History::default()
        }
    }

    fn check(
        token: &CachedToken,
        history: &History,
        configured: Option<i64>,
        expected: Option<(i64, Basis)>,
    ) {
        let estimate = session_end(NOW, token, history, configured);
        let expected = expected.map(|(left, basis)| Estimate {
            at: NOW.plus(left),
            basis,
        });
        assert_eq!(estimate, expected);
    }

    #[test]
    fn scripts_know_the_bases_by_these_names() {
        use Basis::{Configured, Default, Observed, ShortToken, Token};
        let bases = [Token, ShortToken, Configured, Observed, Default];
        let named = "tokenExpiry shorterExpiresIn AWS_SSO_SESSION_DURATION lastSession default";
        assert_eq!(bases.map(Basis::as_str).join(" "), named);
    }

    #[test]
    fn the_first_basis_that_applies_is_the_answer() {
        let observed = History {
            lifetime: Some(12 * HOUR),
            ..signed_in(HOUR)
        };
        let cut_short = History {
            usual_expires_in: Some(HOUR),
            expires_in: Some(HOUR - 5 * MINUTE - 1),
            stored: Some(Secret::new("r").fingerprint()),
            ..observed.clone()
        };
        check(
            &token(""),
            &cut_short,
            Some(DAY),
            Some((HOUR, Basis::Token)),
        );
        check(
            &renewable(),
            &cut_short,
            Some(DAY),
            Some((HOUR, Basis::ShortToken)),
        );
        check(
            &renewable(),
            &observed,
            Some(DAY),
            Some((DAY - HOUR, Basis::Configured)),
        );
        check(
            &renewable(),
            &observed,
            None,
            Some((11 * HOUR, Basis::Observed)),
        );
        check(
            &renewable(),
            &signed_in(HOUR),
            None,
            Some((7 * HOUR, Basis::Default)),
        );
        check(&renewable(), &History::default(), Some(DAY), None);
    }

    #[test]
    fn a_short_token_of_another_tool_or_a_few_seconds_less_tell_nothing() {
        let few_less = History {
            usual_expires_in: Some(HOUR),
            expires_in: Some(HOUR - 5 * MINUTE),
            stored: Some(Secret::new("r").fingerprint()),
            ..signed_in(HOUR)
        };
        let expected = Some((7 * HOUR, Basis::Default));
        check(&renewable(), &few_less, None, expected);
        let of_another = History {
            expires_in: Some(60),
            stored: Some(Secret::new("q").fingerprint()),
            ..few_less
        };
        check(&renewable(), &of_another, None, expected);
    }

    #[test]
    fn an_estimate_that_has_proved_wrong_is_not_shown() {
        check(&renewable(), &signed_in(8 * HOUR), None, None);
        check(&renewable(), &signed_in(-1), None, None);
    }

    #[test]
    fn one_warning_comes_half_an_hour_ahead() {
        let due = |left: i64, history: &History| {
            let estimate = Estimate {
                at: NOW.plus(left),
                basis: Basis::Default,
            };
            is_warning_due(NOW, &estimate, history)
        };
        let none = History::default();
        assert!(due(30 * MINUTE, &none) && due(0, &none));
        assert!(!due(30 * MINUTE + 1, &none) && !due(-1, &none));
        let told = History {
            warned_for: Some(NOW.plus(30 * MINUTE)),
            ..History::default()
        };
        assert!(!due(30 * MINUTE, &told) && !due(30 * MINUTE - 60, &told));
        let told_of_yesterdays = History {
            warned_for: Some(NOW.plus(-DAY)),
            ..History::default()
        };
        assert!(due(30 * MINUTE, &told_of_yesterdays));
        let told_of_an_earlier_end = History {
            warned_for: Some(NOW),
            ..History::default()
        };
        assert!(due(30 * MINUTE, &told_of_an_earlier_end));
    }

    #[test]
    fn a_sign_in_inherits_the_clock_of_a_session_that_is_alive() {
        let mut history = signed_in(3 * HOUR);
        let inherited = began(&history);
        note_sign_in(&mut history, NOW, inherited);
        assert_eq!(history.last_browser_login, Some(NOW));
        check(
            &renewable(),
            &history,
            None,
            Some((5 * HOUR, Basis::Default)),
        );
        note_sign_in(&mut history, NOW, None);
        check(
            &renewable(),
            &history,
            None,
            Some((8 * HOUR, Basis::Default)),
        );
    }

    #[test]
    fn a_refresh_token_that_this_program_never_saw_is_a_sign_in_elsewhere() {
        let of = |token: &str| Some(Secret::new(token).fingerprint());
        let ours = History {
            stored: of("r"),
            ..History::default()
        };
        let another = History {
            stored: of("q"),
            ..History::default()
        };
        let refused = History {
            refused: of("r"),
            ..another.clone()
        };
        let refused_before = History {
            refused: of("p"),
            stored: None,
            ..History::default()
        };
        let ours_to_the_second = History {
            last_success: Some(NOW),
            expires_in: Some(HOUR),
            ..another.clone()
        };
        for (history, expected) in [
            (&History::default(), None),
            (&ours, None),
            (&another, of("r")),
            (&refused, None),
            (&refused_before, of("r")),
            (&ours_to_the_second, None),
        ] {
            assert_eq!(
                sign_in_elsewhere(&renewable(), history),
                expected,
                "{history:?}"
            );
        }
        assert_eq!(sign_in_elsewhere(&token(""), &another), None);
    }

    #[test]
    fn the_usual_lifetime_is_the_longest_that_was_granted() {
        let mut history = History::default();
        for (granted, usual) in [(HOUR, HOUR), (60, HOUR), (2 * HOUR, 2 * HOUR)] {
            note_grant(&mut history, granted);
            assert_eq!(
                (history.expires_in, history.usual_expires_in),
                (Some(granted), Some(usual))
            );
        }
    }

    #[test]
    fn a_lifetime_counts_only_where_the_end_was_seen_as_it_came() {
        let interval = 10 * MINUTE;
        let lifetime = |due_since: i64| {
            let mut history = signed_in(9 * HOUR);
            note_refusal(&mut history, NOW, NOW.plus(-due_since), interval);
            history.lifetime
        };
        assert_eq!(lifetime(2 * interval), Some(9 * HOUR));
        assert_eq!(lifetime(2 * interval + 1), None);
        let mut short_lived = History {
            last_success: Some(NOW.plus(-interval)),
            ..signed_in(9 * HOUR)
        };
        note_refusal(&mut short_lived, NOW, NOW.plus(-DAY), interval);
        assert_eq!(short_lived.lifetime, Some(9 * HOUR));
        let mut unknown = History::default();
        note_refusal(&mut unknown, NOW, NOW, interval);
        assert_eq!(unknown.lifetime, None);
    }
}
