#!/bin/bash
# The background job on a real Mac: install.sh puts the release binary of dist/ in place, `install` hands it to launchd,
# launchd runs it, and it refreshes a due session on the embedded Identity Center; when that has ended, it asks somebody to
# sign in. Then all of it goes away again.
#
# For a machine that is thrown away afterwards: launchd knows only the real home folder, so the test writes to it, and
# refuses one that is in use. bash 3.2 is what macOS has.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly LABEL=com.aws.sso-refresh
readonly PLIST=$HOME/Library/LaunchAgents/$LABEL.plist
readonly DATA=$HOME/.local/share/aws-sso-refresh
readonly LOG=$DATA/refresh.log
readonly PROGRAM=$HOME/.local/bin/aws-sso-refresh
readonly SESSION=mac START_URL=https://d-0123456789.awsapps.com/start REGION=eu-west-1
WORK=$(mktemp -d)
readonly WORK
CENTER=''

die() {
	echo "macos-job: $*" >&2
	[ ! -f "$LOG" ] || tail -n 20 "$LOG" >&2
	exit 1
}

clean_up() {
	[ ! -x "$PROGRAM" ] || [ ! -f "$PLIST" ] || "$PROGRAM" uninstall || true
	[ ! -f "$WORK/browser.pid" ] || kill "$(cat "$WORK/browser.pid")" || true
	exec 3>&- || true # its standard input ends, and so does the Identity Center
	[ -z "$CENTER" ] || wait "$CENTER" || true
	[ ! -f "$WORK/ours" ] || rm -rf "$HOME/.aws" "$DATA" "$PROGRAM"
	rm -rf "$WORK"
}

# within SECONDS WHAT COMMAND..: waits until the command succeeds.
within() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@"; do
		[ $SECONDS -lt $end ] || die "$what: not within the time given"
		sleep 1
	done
	echo "ok: $what"
}

# member NAME < JSON
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

job_state() { { "$PROGRAM" status --json || true; } | python3 -c 'import json, sys; print(json.load(sys.stdin)["daemon"]["state"])'; }
is_waiting() { [ "$(job_state)" = waiting ]; }
runs() { { cat "$LOG" 2>/dev/null || true; } | { grep -c ' run=scheduled ' || true; }; }
has_run() { [ "$(runs)" -ge "$1" ]; }
is_in() { launchctl print "$1/$(id -u)/$LABEL" >/dev/null 2>&1; }
is_registered() { is_in gui || is_in user; }
is_gone() { ! is_registered; }
is_asking() { pgrep -f "$PROGRAM ask" >/dev/null; }
is_quiet() { ! is_asking; }
token_file() { echo "$HOME/.aws/sso/cache/$(printf %s "$SESSION" | shasum | cut -d ' ' -f 1).json"; }
is_refreshed() { [ "$(member accessToken <"$(token_file)")" != "$first_token" ]; }

for path in "$HOME/.aws" "$PLIST" "$DATA" "$PROGRAM"; do
	[ ! -e "$path" ] || die "$path is there; the test is for a throw-away machine"
done
trap clean_up EXIT
touch "$WORK/ours"

# ---- the Identity Center, with a session that is due
cargo build --quiet --locked --example identity-center
mkfifo "$WORK/stdin"
target/debug/examples/identity-center --consent allow --ca "$WORK/ca.pem" <"$WORK/stdin" >"$WORK/center.json" &
CENTER=$!
exec 3>"$WORK/stdin"
within 20 'the Identity Center answers' test -s "$WORK/center.json"
endpoint=$(member endpoint <"$WORK/center.json")
center() { curl --silent --show-error --fail --cacert "$WORK/ca.pem" --data "$2" "$endpoint/_test/$1"; }

# A session that has just been signed in to, with a token that is due.
sign_in() {
	center sign_in "{\"startUrl\": \"$START_URL\"}" >"$WORK/granted.json"
	python3 - "$WORK/granted.json" "$(token_file)" "$START_URL" "$REGION" <<-'END'
		import json, os, sys, time
		granted, path, start_url, region = sys.argv[1:]
		granted = json.load(open(granted))
		at = lambda seconds: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
		token = {
		    "startUrl": start_url, "region": region,
		    "accessToken": granted["accessToken"], "expiresAt": at(time.time() + 300),
		    "clientId": granted["clientId"], "clientSecret": granted["clientSecret"],
		    "registrationExpiresAt": at(granted["registrationExpiresAt"]), "refreshToken": granted["refreshToken"],
		}
		with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
		    json.dump(token, file)
	END
}

mkdir -p "$HOME/.aws/sso/cache"
cat >"$HOME/.aws/config" <<END
[sso-session $SESSION]
sso_start_url = $START_URL
sso_region = $REGION
sso_registration_scopes = sso:account:access
END
sign_in
first_token=$(member accessToken <"$(token_file)")

# ---- the release binary, as users get it: a release folder beside this checkout, by file:// address
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
mkdir -p "$WORK/releases/latest/download" "$WORK/releases/download/v$version"
cp dist/SHA256SUMS "$WORK/releases/latest/download"
cp dist/*.tar.gz "$WORK/releases/download/v$version"
AWS_SSO_REFRESH_BASE_URL=file://$WORK/releases bash <install.sh
# Intel Macs run what nobody has signed, and nobody has.
[ "$(uname -m)" != arm64 ] || codesign --verify --strict --verbose "$PROGRAM"
"$PROGRAM" --version

# ---- the job. What it needs to know goes into job.env: launchd hands it nothing of this shell.
export AWS_CA_BUNDLE=$WORK/ca.pem AWS_ENDPOINT_URL_SSO_OIDC=$endpoint AWS_SSO_REFRESH_LOGIN=off AWS_SSO_REFRESH_INTERVAL=1
"$PROGRAM" install
plutil -lint "$PLIST"
is_registered || die 'launchd does not know the job'
within 60 'the job refreshed the session as it was loaded' is_refreshed
within 30 'the job waits' is_waiting
within 100 'launchd started it again after its interval' has_run "$(($(runs) + 1))"
"$PROGRAM" status

# ---- again, and over a job that is there
before=$(stat -f '%i %m' "$PLIST")
"$PROGRAM" install
[ "$(stat -f '%i %m' "$PLIST")" = "$before" ] || die 'a second install wrote the plist again'
AWS_SSO_REFRESH_BASE_URL=file://$WORK/releases bash <install.sh
within 100 'the job runs after an upgrade' has_run "$(($(runs) + 1))"

# ---- the asker, which outlives the job, and the browser it opens, which outlives the asker
[[ $(ioreg -r -c IOHIDSystem -d 1) == *'"HIDIdleTime" = '[0-9]* ]] || die 'ioreg does not tell when there was input last'
asks() {
	local domain
	if is_in gui; then domain=gui/$(id -u); else domain=user/$(id -u); fi
	# Nobody touches this machine, which the job would find out.
	mkdir "$WORK/bin"
	cat >"$WORK/bin/ioreg" <<-'END'
		#!/bin/sh
		/usr/sbin/ioreg "$@" | sed 's/"HIDIdleTime" = [0-9]*/"HIDIdleTime" = 1/'
	END
	cat >"$WORK/browser" <<-END
		#!/bin/sh
		echo \$\$ >"$WORK/browser.pid"
		echo "\$1" >>"$WORK/visited"
		exec sleep 600
	END
	chmod +x "$WORK/bin/ioreg" "$WORK/browser"
	AWS_SSO_REFRESH_LOGIN=browser BROWSER=$WORK/browser "$PROGRAM" install
	launchctl bootout "$domain/$LABEL"
	within 20 'launchd has let go of the job' is_gone
	plutil -insert EnvironmentVariables -json "{\"PATH\": \"$WORK/bin:/usr/bin:/bin:/usr/sbin:/sbin\"}" "$PLIST"
	sign_in
	center end_session "{\"refreshToken\": \"$(member refreshToken <"$WORK/granted.json")\"}" >/dev/null
	launchctl bootstrap "$domain" "$PLIST"
	within 60 'the asker opened the page' test -s "$WORK/visited"
	within 20 'the job does not wait for an answer' is_waiting
	is_asking || die 'the asker ended with the job'
	curl --silent --show-error --fail --location --cacert "$WORK/ca.pem" --output /dev/null "$(cat "$WORK/visited")"
	within 20 'somebody is signed in' grep -q ' signed-in after=' "$LOG"
	within 20 'the asker has ended' is_quiet
	kill -0 "$(cat "$WORK/browser.pid")" || die 'the browser ended with the asker'
}
if [ "$(stat -f %u /dev/console)" = "$(id -u)" ]; then
	asks
else
	echo 'SKIPPED the asker: nobody is logged in at the screen of this machine'
fi

# ---- away
"$PROGRAM" uninstall
! is_registered || die 'launchd still knows the job'
[ ! -e "$PLIST" ] || die 'the plist is still there'
[ "$(job_state)" = notInstalled ] || die 'status does not say that the job has gone'
[ -f "$LOG" ] || die 'the log has gone, too'
[ -f "$(token_file)" ] || die 'the tokens have gone, too'
"$PROGRAM" install
within 30 'the job is back' is_waiting
sh install.sh --uninstall
! is_registered || die 'launchd still knows the job'
[ ! -e "$PROGRAM" ] || die 'the program is still there'
echo 'macos-job: all well'
