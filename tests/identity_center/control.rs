//! The control interface under `/_test/`, for tests in other languages: JSON in, JSON out.
//!
//! | request | members |
//! |---|---|
//! | `POST /_test/sign_in` | `startUrl`, `scopes`, both optional; answers with what a tool would hold |
//! | `POST /_test/end_session` | `refreshToken` |
//! | `POST /_test/forget_client` | `clientId` |
//! | `POST /_test/approve_device`, `/_test/deny_device` | `userCode` |
//! | `POST /_test/advance` | `seconds` |
//! | `POST /_test/fault` | `fault`, and per fault `error`, `milliseconds`, `length`, `status`, `body`; `path`, `times` |
//! | `POST /_test/clear_faults` | |
//! | `GET /_test/requests`, `/_test/stats` | |

use std::collections::HashMap;
use std::time::Duration;

use tinyjson::JsonValue;

use super::wire::{Delivery, Reply, Request, list, number, object, text};
use super::{Fault, Faults, OAuthError, Seen, Shared, SignIn};

type Members = HashMap<String, JsonValue>;

pub fn answer(shared: &Shared, request: &Request) -> Reply {
    let body = str::from_utf8(&request.body).unwrap_or_default();
    let members = match body.parse::<JsonValue>().map(TryInto::try_into) {
        Ok(Ok(members)) => members,
        _ if body.is_empty() => Members::new(),
        _ => return wrong("the body is not a JSON object"),
    };
    operate(shared, &request.path, &members).unwrap_or_else(|why| wrong(&why))
}

fn wrong(why: &str) -> Reply {
    Reply::json(400, object([("wrong", text(why))]))
}

fn operate(shared: &Shared, path: &str, members: &Members) -> Result<Reply, String> {
    let mut state = shared.state();
    let now = shared.now(&state);
    let done = |found: bool| {
        Ok(Reply::json(
            200,
            object([("found", JsonValue::Boolean(found))]),
        ))
    };
    match path {
        "/_test/sign_in" => {
            let mut sign_in = SignIn::default();
            if members.contains_key("startUrl") {
                sign_in.start_url = string(members, "startUrl")?;
            }
            if let Some(JsonValue::Array(scopes)) = members.get("scopes") {
                sign_in.scopes = scopes
                    .iter()
                    .filter_map(|scope| scope.get::<String>().cloned())
                    .collect();
            }
            let granted = state.service.sign_in(&sign_in, now);
            let body = object([
                ("accessToken", text(&granted.access_token)),
                ("refreshToken", text(&granted.refresh_token)),
                ("clientId", text(&granted.client_id)),
                ("clientSecret", text(&granted.client_secret)),
                (
                    "registrationExpiresAt",
                    number(granted.registration_expires_at),
                ),
                ("expiresIn", number(granted.expires_in)),
            ]);
            Ok(Reply::json(200, body))
        }
        "/_test/end_session" => done(state.service.end_session(&string(members, "refreshToken")?)),
        "/_test/forget_client" => done(state.service.forget_client(&string(members, "clientId")?)),
        "/_test/approve_device" => done(state.service.decide_device(
            &string(members, "userCode")?,
            true,
            now,
        )),
        "/_test/deny_device" => done(state.service.decide_device(
            &string(members, "userCode")?,
            false,
            now,
        )),
        "/_test/advance" => {
            state.advanced += Duration::from_secs(whole(members, "seconds")?);
            done(true)
        }
        "/_test/fault" => {
            let path = string(members, "path").unwrap_or_else(|_| "/token".to_string());
            let times = match members.contains_key("times") {
                true => Some(usize::try_from(whole(members, "times")?).unwrap_or(usize::MAX)),
                false => None,
            };
            let fault = fault(members)?;
            state.faults.add(&path, times, fault);
            done(true)
        }
        "/_test/clear_faults" => {
            state.faults = Faults::default();
            done(true)
        }
        "/_test/requests" => {
            let seen = list(state.seen.iter().map(seen_as_json));
            Ok(Reply::json(200, object([("requests", seen)])))
        }
        "/_test/stats" => {
            let issued = state.service.refresh_tokens(now);
            let live: Vec<_> = issued.iter().filter(|token| token.live).collect();
            let unused = live.iter().filter(|token| token.presented == 0);
            let body = object([
                ("requests", count(state.seen.len())),
                (
                    "violations",
                    list(state.service.violations.iter().map(|why| text(why))),
                ),
                (
                    "failedHandshakes",
                    list(state.failed_handshakes.iter().map(|why| text(why))),
                ),
                ("spentTwice", count(state.service.spent_twice)),
                ("grantedRefreshTokens", count(issued.len())),
                (
                    "liveRefreshTokens",
                    list(live.iter().map(|token| text(&token.token))),
                ),
                (
                    "neverPresented",
                    list(unused.map(|token| text(&token.token))),
                ),
                (
                    "waitingUserCodes",
                    list(
                        state
                            .service
                            .waiting_user_codes(now)
                            .iter()
                            .map(|code| text(code)),
                    ),
                ),
                ("now", number(now.as_secs())),
            ]);
            Ok(Reply::json(200, body))
        }
        _ => Err(format!("{path} is not a control")),
    }
}

fn fault(members: &Members) -> Result<Fault, String> {
    let pause = || whole(members, "milliseconds").map(Duration::from_millis);
    let length =
        || whole(members, "length").map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let name = string(members, "fault")?;
    Ok(match name.as_str() {
        "delay" => Fault::Delay(pause()?),
        "answer" => {
            let status = u16::try_from(whole(members, "status")?).map_err(|err| err.to_string())?;
            Fault::answer(status, &string(members, "body").unwrap_or_default())
        }
        "error" => {
            let description = string(members, "description").unwrap_or_default();
            Fault::Error(OAuthError::named(&string(members, "error")?, &description))
        }
        "raw" => Fault::Raw(string(members, "body")?.into_bytes()),
        "chunked" => Fault::Deliver(Delivery::Chunked),
        "drip" => Fault::Deliver(Delivery::Drip(pause()?)),
        "truncate" => Fault::Deliver(Delivery::Truncate(length()?)),
        "wrong_length" => Fault::Deliver(Delivery::WrongLength(length()?)),
        "close_before" => Fault::CloseBefore,
        "close_after" => Fault::CloseAfter,
        "hang_before" => Fault::HangBefore,
        "hang_after" => Fault::HangAfter,
        "close_at_connect" => Fault::CloseAtConnect,
        "hang_handshake" => Fault::HangHandshake,
        _ => return Err(format!("{name} is not a fault")),
    })
}

fn seen_as_json(seen: &Seen) -> JsonValue {
    let pairs = |pairs: &[(String, String)]| {
        JsonValue::Object(
            pairs
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
        )
    };
    JsonValue::Object(HashMap::from([
        ("at".to_string(), number(seen.at.as_secs())),
        ("connection".to_string(), count(seen.connection)),
        ("method".to_string(), text(&seen.method)),
        ("path".to_string(), text(&seen.path)),
        ("query".to_string(), pairs(&seen.query)),
        ("headers".to_string(), pairs(&seen.headers)),
        (
            "body".to_string(),
            text(&String::from_utf8_lossy(&seen.body)),
        ),
        (
            "status".to_string(),
            seen.status
                .map_or(JsonValue::Null, |status| number(status.into())),
        ),
    ]))
}

fn count(value: usize) -> JsonValue {
    number(u64::try_from(value).unwrap_or(u64::MAX))
}

fn string(members: &Members, name: &str) -> Result<String, String> {
    members
        .get(name)
        .and_then(|value| value.get::<String>())
        .cloned()
        .ok_or(format!("{name} is not a string"))
}

fn whole(members: &Members, name: &str) -> Result<u64, String> {
    let value = members.get(name).and_then(|value| value.get::<f64>());
    // Written out, a whole number has no point; this is exact where a cast would round.
    value
        .and_then(|value| value.to_string().parse().ok())
        .ok_or(format!("{name} is not a whole number"))
}
