//! Each step of a refresh and of a login on the disk and on the network fails, fails half done, and in another run dies.
//!
//! On a good disk, on a full one, on a read-only one, and on one that fills up while the server answers. Whatever
//! happened, the next run must find a usable token, and what the service granted must be in the file. Two losses cannot be
//! closed: the answer itself never arrives, and the process dies between the answer and its first byte on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

use crate::identity_center::{Consent, Fault, IdentityCenter};
use crate::torture::{each, tally, torture};
use crate::world::{Ran, World, can_mount, consenting, member_of, names_in};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Refresh,
    /// A login through the browser, or with a device code; with another token in the file or with none.
    Browser {
        is_signed_in: bool,
    },
    DeviceCode {
        is_signed_in: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Good,
    Full,
    ReadOnly,
    /// It has room when the job begins, and none when the token arrives.
    FillsUp,
}

/// What is done, and on which disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scene {
    job: Job,
    disk: Disk,
}

/// One step of a scene, and what becomes of it: `error`, `short` or `abort`.
#[derive(Debug, Clone, Copy)]
struct Case {
    scene: Scene,
    step: usize,
    how: &'static str,
}

/// How a case ended that broke no promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Kept,
    /// The answer was lost on its way.
    NeverArrived,
    /// The process died between the answer and its first byte on the disk.
    DiedWithIt,
    /// There was no such step: how many a TLS handshake takes, the network decides.
    NotReached,
}

const JOBS: [Job; 5] = [
    Job::Refresh,
    Job::Browser { is_signed_in: true },
    Job::Browser {
        is_signed_in: false,
    },
    Job::DeviceCode { is_signed_in: true },
    Job::DeviceCode {
        is_signed_in: false,
    },
];

const HOW: [&str; 3] = ["error", "short", "abort"];

impl Job {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Job::Refresh => &["refresh"],
            Job::Browser { .. } => &["login"],
            Job::DeviceCode { .. } => &["login", "--device-code"],
        }
    }

    fn is_signed_in(self) -> bool {
        !matches!(
            self,
            Job::Browser {
                is_signed_in: false
            } | Job::DeviceCode {
                is_signed_in: false
            }
        )
    }
}

/// A home on the scene's disk, and the service.
struct Stage {
    center: IdentityCenter,
    world: World,
    /// The refresh token that is in the file when the job begins.
    old: Option<String>,
}

impl Scene {
    fn set(self) -> Stage {
        let center = consenting(Consent::Allow);
        let mut world = World::with_browser(&center);
        // A callback that was lost is not waited for much longer.
        world.set("AWS_SSO_REFRESH_PERSON_SECONDS", "4");
        let old = self
            .job
            .is_signed_in()
            .then(|| world.sign_in(&center, "work", 5).refresh_token);
        match self.disk {
            Disk::Good => {}
            Disk::Full => {
                world.mount_own_disk("", "512k");
                world.sh("cat /dev/zero >\"$1/filler\" 2>/dev/null || true");
            }
            // The log and the locks are on another one, and so the job gets as far as the tokens.
            Disk::ReadOnly => {
                world.mount(
                    "mount --bind \"$1/.aws\" \"$1/.aws\"; mount -o remount,ro,bind \"$1/.aws\"",
                );
            }
            Disk::FillsUp => {
                world.mount_own_disk("", "1m");
                let filler = world.home.join("filler");
                center.fault_next(
                    1,
                    Fault::hook(move |_| {
                        let error = fs::write(&filler, vec![0; 2 << 20]).expect_err("it is small");
                        assert_eq!(error.kind(), ErrorKind::StorageFull);
                    }),
                );
            }
        }
        Stage { center, world, old }
    }

    /// The names of the steps, in order.
    fn steps(self) -> Vec<String> {
        let mut stage = self.set();
        let ran = stage.run_to("0:list", self.job);
        let steps = ran.stderr.lines().filter_map(|line| {
            let (_, name) = line.strip_prefix("step ")?.split_once(": ")?;
            Some(name.to_string())
        });
        steps.collect()
    }
}

impl Stage {
    fn run_to(&mut self, step: &str, job: Job) -> Ran {
        self.world.set("AWS_SSO_REFRESH_STEP", step);
        let ran = self.world.run(job.arguments());
        self.world.set("AWS_SSO_REFRESH_STEP", "");
        ran
    }

    /// The refresh token in the file, where a tool could use it this moment.
    fn usable(&self) -> Option<String> {
        let text = fs::read_to_string(self.world.token_path("work")).ok()?;
        let [access, refresh] =
            ["accessToken", "refreshToken"].map(|member| member_of(&text, member));
        let refresh = refresh.filter(|token| self.center.is_live_refresh_token(token))?;
        self.center
            .is_live_access_token(&access?)
            .then_some(refresh)
    }

    /// What was granted and is not in the file; the old one counts for as long as nothing newer is there.
    fn lost(&self) -> Vec<String> {
        let text = fs::read_to_string(self.world.token_path("work")).unwrap_or_default();
        let there = member_of(&text, "refreshToken");
        let held: Vec<&str> = there
            .as_deref()
            .into_iter()
            .chain(self.old.as_deref())
            .collect();
        self.center.tokens_lost(&held)
    }

    fn make_room_again(&self, disk: Disk) {
        match disk {
            Disk::Good => {}
            Disk::Full | Disk::FillsUp => self.world.sh("rm -f \"$1/filler\""),
            Disk::ReadOnly => self.world.sh("mount -o remount,rw,bind \"$1/.aws\""),
        }
    }

    fn left_over(&self) -> Vec<String> {
        let mut names = self.world.cache_names();
        names.retain(|name| !name.ends_with(".json"));
        let mut others = names_in(&self.world.data());
        others.retain(|name| !["locks", "refresh.log", "sessions.json"].contains(&name.as_str()));
        names.extend(others);
        names
    }
}

/// Plays one case, and says what is wrong with what came of it.
fn play(case: &Case) -> Result<Ending, String> {
    let Case { scene, step, how } = *case;
    let mut stage = scene.set();
    let first = stage.run_to(&format!("{step}:{how}"), scene.job);
    let failed = first.stderr.lines().find_map(|line| {
        let (_, told) = line.split_once("simulated failure at step ")?;
        Some(told.split_once(": ")?.1.to_string())
    });
    let Some(name) = failed else {
        return Ok(Ending::NotReached);
    };

    // The next run of the job; the disk is as it was.
    let second = stage.world.run(&["refresh"]);
    let (usable, lost) = (stage.usable(), stage.lost());
    let may_be_lost = name == "receive" || how == "abort" && ["send", "write"].contains(&&*name);
    let was_granted = stage.center.refresh_tokens().len() > usize::from(stage.old.is_some());
    let problem = if !lost.is_empty() && !may_be_lost {
        Some("what was granted is lost")
    } else if usable.is_none() && lost.is_empty() && (was_granted || scene.job.is_signed_in()) {
        Some("there is no usable token")
    } else if first.exit == Some(0) && (usable.is_none() || usable == stage.old) {
        Some("it failed and said that it worked")
    } else {
        None
    };

    stage.make_room_again(scene.disk);
    let third = match scene.job {
        Job::Refresh if usable.is_some() => stage.world.run(&["refresh", "--force"]),
        Job::Refresh => stage.world.run(&["login"]),
        login => stage.world.run(login.arguments()),
    };
    let problem = problem.or_else(|| match third.exit {
        Some(0) if stage.usable().is_some() => None,
        _ => Some("it does not work again"),
    });
    let left_over = stage.left_over();
    let problem = problem.or((!left_over.is_empty()).then_some("something is left over"));
    let memory = fs::read_to_string(stage.world.data().join("sessions.json")).unwrap_or_default();
    let told = format!(
        "{first:?}\n{second:?}\n{third:?}\n{}{memory}",
        stage.world.log()
    );
    let is_told = stage
        .center
        .secrets()
        .iter()
        .any(|secret| told.contains(secret));
    match problem.or(is_told.then_some("a secret is told")) {
        None if lost.is_empty() => Ok(Ending::Kept),
        None if name == "receive" => Ok(Ending::NeverArrived),
        None => Ok(Ending::DiedWithIt),
        Some(problem) => Err(format!(
            "{case:?} ({name}): {problem}; lost {}, left over {left_over:?}\n{told}",
            lost.len()
        )),
    }
}

/// Takes away every step of the scenes in `make torture`, and else one of so many.
fn take_away(what: &str, scenes: &[Scene], one_of: usize) {
    let one_of = torture().map_or(one_of, |_| 1);
    let steps = each(scenes, 4, |scene| Ok(scene.steps()));
    let mut cases = Vec::new();
    let mut found = BTreeMap::new();
    for (scene, names) in scenes.iter().zip(&steps) {
        assert!(
            ["create", "make folder"]
                .iter()
                .any(|far| names.contains(&far.to_string())),
            "{scene:?} takes only these: {names:?}"
        );
        for name in names {
            *found.entry(name.as_str()).or_insert(0) += 1;
        }
        let of_scene = (1..=names.len()).flat_map(|step| {
            HOW.map(|how| Case {
                scene: *scene,
                step,
                how,
            })
        });
        cases.extend(of_scene);
    }
    // A stride that meets every way of failing.
    let cases: Vec<Case> = cases.into_iter().step_by(one_of).collect();
    let endings = each(&cases, 8, play);
    let count = |ending| endings.iter().filter(|each| **each == ending).count();
    let not_reached = count(Ending::NotReached);
    assert!(not_reached * 10 <= endings.len(), "{endings:?}");
    eprintln!("{what}: {found:?}");
    let outcome = format!(
        "no token lost but {} whose answer never arrived and {} that died with the process before the first byte",
        count(Ending::NeverArrived),
        count(Ending::DiedWithIt)
    );
    tally(
        &format!("steps failed: {what}"),
        endings.len() - not_reached,
        &outcome,
    );
}

fn on(disk: Disk) -> Vec<Scene> {
    JOBS.map(|job| Scene { job, disk }).to_vec()
}

#[test]
fn whatever_step_of_a_refresh_fails_or_dies_no_granted_token_is_lost() {
    let (job, disk) = (Job::Refresh, Disk::Good);
    take_away("a refresh", &[Scene { job, disk }], 1);
}

#[test]
fn whatever_step_of_a_login_fails_or_dies_no_granted_token_is_lost() {
    take_away("a login", &on(Disk::Good)[1..], 7);
}

#[test]
fn a_disk_without_room_loses_no_token_at_any_step() {
    if can_mount("a_disk_without_room_loses_no_token_at_any_step") {
        take_away("on a full disk", &on(Disk::Full), 10);
        take_away("on a read-only disk", &on(Disk::ReadOnly), 10);
    }
}

#[test]
fn a_disk_that_fills_up_in_between_loses_no_token_at_any_step() {
    if can_mount("a_disk_that_fills_up_in_between_loses_no_token_at_any_step") {
        take_away("on a disk that fills up", &on(Disk::FillsUp), 16);
    }
}
