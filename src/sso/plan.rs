//! What a session needs now: a ladder of questions, of which the first that applies gives the answer.
//!
//! `status` prints the same decisions that `refresh` performs, so the two cannot disagree. The clock comes in as an
//! argument; remembered times that lie in its future are ignored, because the clock was wrong then or is now.

use crate::format::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::sso::history::History;
use crate::sso::token::{self, CachedToken};

/// Below this a token that cannot be renewed is as good as over: nobody finishes anything in it. Seconds.
pub const LAST_MINUTES: i64 = 5 * MINUTE;

/// A session whose token has been invalid for this long is one that nobody uses. Seconds.
const DORMANT_AFTER: i64 = 7 * DAY;

/// A token may claim this much more than the service granted before its writer's clock is doubted. Seconds.
const CLOCK_TOLERANCE: i64 = 5 * MINUTE;

/// No second refresh this soon after one that worked, however short-lived its token is (interop rule F13). Seconds.
const JUST_REFRESHED: i64 = 30;

/// The longest threshold that still lets a one-hour token rest between two refreshes. Minutes.
const THRESHOLD_MAX: i64 = 58;

/// How long a server in trouble is left alone after the first, the second and every further failed run. Seconds;
/// reached in all after 1, 6 and 21 minutes. Another launch asks again, so nothing sleeps that long.
const BACK_OFF: [i64; 3] = [MINUTE, 5 * MINUTE, 15 * MINUTE];

/// How long nobody is asked again after the first, the second and every further request that was not answered.
const ASK_PAUSES: [i64; 3] = [30 * MINUTE, 2 * HOUR, DAY];

/// Whether a person may be asked to sign in now.
pub fn may_ask(now: Timestamp, history: &History) -> bool {
    let Some(last_asked) = history.last_asked.filter(|at| *at <= now) else {
        return true;
    };
    let index = usize::try_from(history.asked - 1).unwrap_or(0);
    now.since(last_asked) >= ASK_PAUSES[index.min(ASK_PAUSES.len() - 1)]
}

/// The pause after `failures` failed runs in a row (at least one). Seconds.
pub fn back_off(failures: i64) -> i64 {
    let index = usize::try_from(failures.max(1) - 1).unwrap_or(usize::MAX);
    BACK_OFF[index.min(BACK_OFF.len() - 1)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A token with this much or less is due. Seconds.
    pub threshold: i64,
    /// Refresh whatever can be refreshed, also past a pause or a remembered refusal.
    pub force: bool,
}

/// The threshold that applies, in minutes: so large that a token is renewed at least one check before its end, and
/// small enough that a one-hour token is not renewed at every check.
pub fn effective_threshold(configured: i64, interval: i64) -> i64 {
    configured.max(interval + 2).min(THRESHOLD_MAX)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The token is good: look again then.
    Wait { until: Timestamp },
    /// The token is good and cannot be renewed: a sign-in will be needed then.
    WaitForEnd { until: Timestamp, why: SignIn },
    /// Ask the server now.
    Refresh,
    /// The last attempts failed: leave the server alone until then.
    BackOff { until: Timestamp },
    /// Only a person can help.
    SignIn(SignIn),
    /// The same, but nobody has used the session for a week.
    Dormant(SignIn),
    /// No token file: nobody asked for this session.
    SignedOut,
}

/// Why a token cannot be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// No refresh token, client id or client secret.
    NotRenewable,
    /// The client registration has expired.
    RegistrationExpired,
    /// The service refused this refresh token.
    Rejected,
    /// The token is for another start URL than the config's.
    Redefined,
}

/// What a session is called in `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Fresh,
    Due,
    Expired,
    SignInNeeded,
    Dormant,
    SignedOut,
}

impl State {
    /// As in `status --json`.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Fresh => "fresh",
            State::Due => "due",
            State::Expired => "expired",
            State::SignInNeeded => "signInNeeded",
            State::Dormant => "dormant",
            State::SignedOut => "signedOut",
        }
    }
}

/// What to do about the token of a session that the config gives the start URL `start_url`.
pub fn plan(
    now: Timestamp,
    start_url: &str,
    token: Option<&CachedToken>,
    history: &History,
    policy: Policy,
) -> Decision {
    let Some(token) = token else {
        return Decision::SignedOut;
    };
    let remaining = token.remaining(now);
    // Where nothing is remembered to compare it with, nothing is hashed: a third of the work of an idle check.
    let is_refused = history.refused.is_some() && history.refused == token.refresh_fingerprint();

    if let Some(why) = why_unrenewable(now, start_url, token) {
        return if remaining >= LAST_MINUTES {
            Decision::WaitForEnd {
                until: token.expires_at.plus(-LAST_MINUTES),
                why,
            }
        } else {
            sign_in(remaining, why)
        };
    }
    if policy.force {
        return Decision::Refresh;
    }
    if is_refused {
        let was_logged_out = history.logged_out == history.refused;
        return if was_logged_out {
            Decision::SignedOut
        } else {
            sign_in(remaining, SignIn::Rejected)
        };
    }
    if let Some(until) = pause_until(now, history) {
        // A token that is not due waits for the later of the two, which is its own time.
        let due_at = token.expires_at.plus(-policy.threshold);
        return if due_at > until {
            Decision::Wait { until: due_at }
        } else {
            Decision::BackOff { until }
        };
    }
    if let Some(last_success) = history.last_success.filter(|at| *at <= now)
        && now.since(last_success) < JUST_REFRESHED
        && remaining > 0
        && history.stored == token.refresh_fingerprint()
    {
        return Decision::Wait {
            until: last_success.plus(JUST_REFRESHED),
        };
    }
    if is_from_a_wrong_clock(remaining, history) || remaining <= policy.threshold {
        return Decision::Refresh;
    }
    Decision::Wait {
        until: token.expires_at.plus(-policy.threshold),
    }
}

/// Whether a token claims more time than the service grants.
pub fn is_from_a_wrong_clock(remaining: i64, history: &History) -> bool {
    // The largest lifetime seen: near the end of a session grants get shorter, and the next sign-in's is no lie.
    let granted = history.expires_in.max(history.usual_expires_in);
    granted.is_some_and(|granted| remaining > granted.saturating_add(CLOCK_TOLERANCE))
}

/// What `status` calls the outcome of `plan`.
pub fn state(
    decision: Decision,
    token: Option<&CachedToken>,
    now: Timestamp,
    policy: Policy,
) -> State {
    let remaining = token.map_or(0, |token| token.remaining(now));
    match decision {
        Decision::SignedOut => State::SignedOut,
        Decision::SignIn(_) => State::SignInNeeded,
        Decision::Dormant(_) => State::Dormant,
        _ if remaining <= 0 => State::Expired,
        Decision::Refresh => State::Due,
        _ if remaining <= policy.threshold => State::Due,
        _ => State::Fresh,
    }
}

/// What stands between this token and a refresh, apart from the server's opinion.
pub fn why_unrenewable(now: Timestamp, start_url: &str, token: &CachedToken) -> Option<SignIn> {
    let is_redefined = token
        .start_url
        .as_deref()
        .is_some_and(|written| !token::is_same_start_url(written, start_url));
    if is_redefined {
        return Some(SignIn::Redefined);
    }
    let Ok(renewal) = &token.renewal else {
        return Some(SignIn::NotRenewable);
    };
    let has_registration_expired = renewal
        .registration_expires_at
        .is_some_and(|end| end <= now);
    has_registration_expired.then_some(SignIn::RegistrationExpired)
}

fn sign_in(remaining: i64, why: SignIn) -> Decision {
    if remaining <= -DORMANT_AFTER {
        Decision::Dormant(why)
    } else {
        Decision::SignIn(why)
    }
}

/// The end of the pause that the last failure started, where that lies ahead.
fn pause_until(now: Timestamp, history: &History) -> Option<Timestamp> {
    let last_failure = history.last_failure.filter(|at| *at <= now)?;
    let until = last_failure.plus(history.pause.min(BACK_OFF[BACK_OFF.len() - 1]));
    (until > now).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sso::token::Secret;

    const NOW: Timestamp = Timestamp(1_795_464_251);
    const START_URL: &str = "https://x.awsapps.com/start";
    const POLICY: Policy = Policy {
        threshold: 30 * MINUTE,
        force: false,
    };

    /// A renewable token with `remaining` seconds.
    fn token(remaining: i64) -> CachedToken {
        token_with(
            remaining,
            r#", "refreshToken": "r", "clientId": "c", "clientSecret": "s""#,
        )
    }

    fn token_with(remaining: i64, rest: &str) -> CachedToken {
        let text = format!(
            r#"{{"accessToken": "a", "expiresAt": "{}"{rest}}}"#,
            NOW.plus(remaining)
        );
        CachedToken::parse(text.as_bytes()).expect("a token")
    }

    fn check(token: &CachedToken, history: &History, expected: Decision) {
        assert_eq!(plan(NOW, START_URL, Some(token), history, POLICY), expected);
    }

    fn refused(pause: i64) -> History {
        History {
            refused: Some(Secret::new("r").fingerprint()),
            pause,
            ..History::default()
        }
    }

    #[test]
    fn without_a_token_file_the_session_is_signed_out() {
        for force in [false, true] {
            let policy = Policy { force, ..POLICY };
            assert_eq!(
                plan(NOW, START_URL, None, &History::default(), policy),
                Decision::SignedOut
            );
        }
    }

    #[test]
    fn a_token_is_due_at_the_threshold_and_not_a_second_before() {
        check(
            &token(30 * MINUTE + 1),
            &History::default(),
            Decision::Wait { until: NOW.plus(1) },
        );
        check(&token(30 * MINUTE), &History::default(), Decision::Refresh);
        check(&token(1), &History::default(), Decision::Refresh);
    }

    #[test]
    fn an_expired_token_can_still_be_refreshed() {
        check(&token(0), &History::default(), Decision::Refresh);
        check(&token(-30 * DAY), &History::default(), Decision::Refresh);
    }

    #[test]
    fn a_token_that_cannot_be_renewed_is_waited_for_until_its_last_five_minutes() {
        let why = SignIn::NotRenewable;
        check(
            &token_with(8 * HOUR, ""),
            &History::default(),
            Decision::WaitForEnd {
                until: NOW.plus(8 * HOUR - LAST_MINUTES),
                why,
            },
        );
        check(
            &token_with(LAST_MINUTES, ""),
            &History::default(),
            Decision::WaitForEnd { until: NOW, why },
        );
        check(
            &token_with(LAST_MINUTES - 1, ""),
            &History::default(),
            Decision::SignIn(why),
        );
        check(
            &token_with(-1, ""),
            &History::default(),
            Decision::SignIn(why),
        );
    }

    #[test]
    fn each_missing_part_makes_a_token_unrenewable() {
        for rest in [
            r#", "clientId": "c", "clientSecret": "s""#,
            r#", "refreshToken": "r", "clientSecret": "s""#,
            r#", "refreshToken": "r", "clientId": "c""#,
            r#", "refreshToken": null, "clientId": "c", "clientSecret": "s""#,
        ] {
            check(
                &token_with(-1, rest),
                &History::default(),
                Decision::SignIn(SignIn::NotRenewable),
            );
        }
    }

    #[test]
    fn an_expired_registration_needs_a_sign_in_from_its_very_second_on() {
        let with_registration = |end: i64| {
            let rest = format!(
                r#", "refreshToken": "r", "clientId": "c", "clientSecret": "s", "registrationExpiresAt": "{}""#,
                NOW.plus(end)
            );
            token_with(MINUTE, &rest)
        };
        check(
            &with_registration(1),
            &History::default(),
            Decision::Refresh,
        );
        check(
            &with_registration(0),
            &History::default(),
            Decision::SignIn(SignIn::RegistrationExpired),
        );
    }

    #[test]
    fn a_token_of_another_start_url_is_not_sent_anywhere() {
        let of = |url: &str| {
            let rest = format!(
                r#", "startUrl": "{url}", "refreshToken": "r", "clientId": "c", "clientSecret": "s""#
            );
            token_with(MINUTE, &rest)
        };
        check(
            &of("https://x.awsapps.com/start/#/"),
            &History::default(),
            Decision::Refresh,
        );
        let redefined = of("https://y.awsapps.com/start");
        check(
            &redefined,
            &History::default(),
            Decision::SignIn(SignIn::Redefined),
        );
        let forced = plan(
            NOW,
            START_URL,
            Some(&redefined),
            &History::default(),
            Policy {
                force: true,
                ..POLICY
            },
        );
        assert_eq!(forced, Decision::SignIn(SignIn::Redefined));
    }

    #[test]
    fn a_refused_refresh_token_is_not_sent_again_until_the_file_holds_another() {
        check(
            &token(MINUTE),
            &refused(0),
            Decision::SignIn(SignIn::Rejected),
        );
        check(
            &token(40 * MINUTE),
            &refused(0),
            Decision::SignIn(SignIn::Rejected),
        );
        let other = History {
            refused: Some(Secret::new("q").fingerprint()),
            ..History::default()
        };
        check(&token(MINUTE), &other, Decision::Refresh);
        check(
            &token_with(MINUTE, ""),
            &History::default(),
            Decision::SignIn(SignIn::NotRenewable),
        );
    }

    #[test]
    fn a_refusal_after_a_logout_is_a_sign_out() {
        let history = History {
            logged_out: Some(Secret::new("r").fingerprint()),
            ..refused(0)
        };
        check(&token(MINUTE), &history, Decision::SignedOut);
        let not_refused = History {
            refused: None,
            ..history
        };
        check(&token(MINUTE), &not_refused, Decision::Refresh);
    }

    #[test]
    fn a_session_nobody_used_for_a_week_is_dormant() {
        check(
            &token(-7 * DAY + 1),
            &refused(0),
            Decision::SignIn(SignIn::Rejected),
        );
        check(
            &token(-7 * DAY),
            &refused(0),
            Decision::Dormant(SignIn::Rejected),
        );
        check(
            &token_with(-7 * DAY, ""),
            &History::default(),
            Decision::Dormant(SignIn::NotRenewable),
        );
    }

    #[test]
    fn scripts_know_the_states_by_these_names() {
        use State::{Dormant, Due, Expired, Fresh, SignInNeeded, SignedOut};
        let states = [Fresh, Due, Expired, SignInNeeded, Dormant, SignedOut];
        let named = "fresh due expired signInNeeded dormant signedOut";
        assert_eq!(states.map(State::as_str).join(" "), named);
    }

    #[test]
    fn a_pause_lasts_as_long_as_it_says_and_delays_only_what_is_due() {
        let failed = |ago: i64, pause: i64| History {
            last_failure: Some(NOW.plus(-ago)),
            failures: 1,
            pause,
            ..History::default()
        };
        check(
            &token(MINUTE),
            &failed(59, 60),
            Decision::BackOff { until: NOW.plus(1) },
        );
        check(&token(MINUTE), &failed(60, 60), Decision::Refresh);
        check(
            &token(HOUR),
            &failed(0, 60),
            Decision::Wait {
                until: NOW.plus(30 * MINUTE),
            },
        );
        for due_in in [30, 60] {
            check(
                &token(30 * MINUTE + due_in),
                &failed(0, 60),
                Decision::BackOff {
                    until: NOW.plus(60),
                },
            );
        }
        check(
            &token(MINUTE),
            &failed(0, i64::MAX),
            Decision::BackOff {
                until: NOW.plus(15 * MINUTE),
            },
        );
    }

    #[test]
    fn remembered_times_in_the_future_are_ignored() {
        let history = History {
            last_failure: Some(NOW.plus(1)),
            pause: 900,
            last_success: Some(NOW.plus(1)),
            stored: Some(Secret::new("r").fingerprint()),
            ..History::default()
        };
        check(&token(MINUTE), &history, Decision::Refresh);
    }

    #[test]
    fn a_token_just_refreshed_is_left_alone_however_short_lived() {
        let refreshed = |ago: i64, stored: &str| History {
            last_success: Some(NOW.plus(-ago)),
            stored: Some(Secret::new(stored).fingerprint()),
            ..History::default()
        };
        check(
            &token(MINUTE),
            &refreshed(29, "r"),
            Decision::Wait { until: NOW.plus(1) },
        );
        check(&token(MINUTE), &refreshed(30, "r"), Decision::Refresh);
        check(
            &token(MINUTE),
            &refreshed(0, "another tool's"),
            Decision::Refresh,
        );
        check(&token(0), &refreshed(0, "r"), Decision::Refresh);
    }

    #[test]
    fn a_token_that_claims_more_than_was_ever_granted_is_due() {
        let history = History {
            expires_in: Some(HOUR),
            ..History::default()
        };
        let shrunk = History {
            expires_in: Some(10 * MINUTE),
            usual_expires_in: Some(HOUR),
            ..History::default()
        };
        check(
            &token(HOUR),
            &shrunk,
            Decision::Wait {
                until: NOW.plus(30 * MINUTE),
            },
        );
        check(
            &token(HOUR + 5 * MINUTE),
            &history,
            Decision::Wait {
                until: NOW.plus(35 * MINUTE),
            },
        );
        check(&token(HOUR + 5 * MINUTE + 1), &history, Decision::Refresh);
        check(
            &token(9 * HOUR),
            &History::default(),
            Decision::Wait {
                until: NOW.plus(8 * HOUR + 30 * MINUTE),
            },
        );
    }

    #[test]
    fn force_passes_over_pauses_and_refusals_but_not_over_what_is_missing() {
        let force = Policy {
            force: true,
            ..POLICY
        };
        let history = History {
            last_failure: Some(NOW),
            pause: 900,
            ..refused(900)
        };
        assert_eq!(
            plan(NOW, START_URL, Some(&token(HOUR)), &history, force),
            Decision::Refresh
        );
        let unrenewable = token_with(HOUR, "");
        assert_eq!(
            plan(NOW, START_URL, Some(&unrenewable), &history, force),
            Decision::WaitForEnd {
                until: NOW.plus(55 * MINUTE),
                why: SignIn::NotRenewable
            }
        );
    }

    #[test]
    fn nobody_is_asked_again_before_the_pause_is_over() {
        let may = |asked: i64, ago: i64| {
            let history = History {
                last_asked: Some(NOW.plus(-ago)),
                asked,
                ..History::default()
            };
            may_ask(NOW, &history)
        };
        assert!(may_ask(NOW, &History::default()));
        for (asked, pause) in [
            (0, 30 * MINUTE),
            (1, 30 * MINUTE),
            (2, 2 * HOUR),
            (3, DAY),
            (99, DAY),
        ] {
            assert!(!may(asked, pause - 1), "{asked}");
            assert!(may(asked, pause), "{asked}");
        }
        assert!(may(1, -1), "a request in the future was never made");
    }

    #[test]
    fn the_pause_grows_with_the_failures_and_stops_growing() {
        assert_eq!(
            [0, 1, 2, 3, 4, i64::MAX].map(back_off),
            [60, 60, 300, 900, 900, 900]
        );
    }

    #[test]
    fn the_threshold_leaves_room_for_one_more_check_and_for_a_one_hour_token() {
        for (configured, interval, expected) in [
            (30, 10, 30),
            (5, 10, 12),
            (30, 30, 32),
            (30, 60, 58),
            (1440, 10, 58),
            (58, 1, 58),
            (1, 1, 3),
        ] {
            assert_eq!(effective_threshold(configured, interval), expected);
        }
    }

    #[test]
    fn states_are_named_by_what_is_left_and_what_can_be_done() {
        let of = |remaining: i64, history: &History| {
            let token = token(remaining);
            let decision = plan(NOW, START_URL, Some(&token), history, POLICY);
            state(decision, Some(&token), NOW, POLICY)
        };
        let none = History::default();
        let pausing = History {
            last_failure: Some(NOW),
            pause: 60,
            ..History::default()
        };
        assert_eq!(of(31 * MINUTE, &none), State::Fresh);
        assert_eq!(of(30 * MINUTE, &none), State::Due);
        assert_eq!(of(MINUTE, &pausing), State::Due);
        assert_eq!(of(0, &pausing), State::Expired);
        assert_eq!(of(0, &none), State::Expired);
        assert_eq!(of(MINUTE, &refused(0)), State::SignInNeeded);
        assert_eq!(of(-8 * DAY, &refused(0)), State::Dormant);
        assert_eq!(
            of(
                9 * HOUR,
                &History {
                    expires_in: Some(HOUR),
                    ..History::default()
                }
            ),
            State::Due
        );
        let unrenewable = token_with(10 * MINUTE, "");
        let decision = plan(NOW, START_URL, Some(&unrenewable), &none, POLICY);
        assert_eq!(state(decision, Some(&unrenewable), NOW, POLICY), State::Due);
        assert_eq!(
            state(Decision::SignedOut, None, NOW, POLICY),
            State::SignedOut
        );
    }
}
