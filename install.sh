#!/bin/sh
# Installs aws-sso-refresh for this user, or upgrades it:
#
#   curl -fsSL https://raw.githubusercontent.com/jhubbardsf/aws-sso-refresh/main/install.sh | bash
#
# For any POSIX shell, and bash 3.2. Nothing is done before the last line has arrived.

usage() {
	cat <<'END'
usage: install.sh [--uninstall]

Installs aws-sso-refresh into ~/.local/bin, or upgrades it there.

  --uninstall    remove the background job and the program; keep logs and tokens
  -h, --help     print this

  AWS_SSO_REFRESH_VERSION     the version to install (default: the latest)
  AWS_SSO_REFRESH_BIN_DIR     where to (default: ~/.local/bin)
  AWS_SSO_REFRESH_BASE_URL    where from (default: https://github.com/jhubbardsf/aws-sso-refresh/releases)
END
}

main() {
	set -eu
	umask 022
	[ -n "${HOME-}" ] || err 'HOME is not set'
	program=aws-sso-refresh
	bin_dir=${AWS_SSO_REFRESH_BIN_DIR:-$HOME/.local/bin}
	bin_dir=${bin_dir%/}
	case $bin_dir in /*) ;; *) err "AWS_SSO_REFRESH_BIN_DIR must be an absolute path, not $bin_dir" ;; esac
	bin=$bin_dir/$program
	temp_dir='' temp_bin=''
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' HUP TERM

	[ $# -le 1 ] || bad_usage
	case ${1-} in
	'') install ;;
	--uninstall) uninstall ;;
	-h | --help) usage ;;
	*) bad_usage ;;
	esac
}

say() {
	printf '%s\n' "$*"
}

err() {
	printf 'install.sh: %s\n' "$*" >&2
	exit 1
}

bad_usage() {
	usage >&2
	exit 2
}

clean_up() {
	if [ -n "$temp_bin" ]; then rm -f "$temp_bin"; fi
	if [ -n "$temp_dir" ]; then rm -rf "$temp_dir"; fi
}

has() {
	command -v "$1" >/dev/null 2>&1
}

install() {
	find_target
	[ ! -d "$bin" ] || err "$bin is a folder"
	temp_dir=$(mktemp -d) || err 'cannot make a temporary folder'

	# SHA256SUMS names the archives with their version, so "latest" needs no API, which would limit requests.
	base=${AWS_SSO_REFRESH_BASE_URL:-https://github.com/jhubbardsf/aws-sso-refresh/releases}
	base=${base%/}
	version=${AWS_SSO_REFRESH_VERSION-}
	version=${version#v}
	if [ -n "$version" ]; then
		sums=$base/download/v$version/SHA256SUMS
	else
		sums=$base/latest/download/SHA256SUMS
	fi
	download "$sums" "$temp_dir/SHA256SUMS"
	line=$(grep -E "^[0-9a-f]{64}  $program-[0-9A-Za-z.+-]+-$target\.tar\.gz\$" "$temp_dir/SHA256SUMS" | head -n 1) || true
	[ -n "$line" ] || err "$sums names no archive for $target"
	expected=${line%% *}
	archive=${line##* }
	found=${archive#"$program-"}
	found=${found%"-$target.tar.gz"}
	[ -z "$version" ] || [ "$version" = "$found" ] || err "$sums is of version $found, not $version"
	version=$found

	say "downloading $program $version for $target"
	download "$base/download/v$version/$archive" "$temp_dir/$archive"
	actual=$(sha256 "$temp_dir/$archive")
	[ "$actual" = "$expected" ] ||
		err "$archive is not what SHA256SUMS says: its checksum is $actual, not $expected; nothing was installed"
	folder=$program-$version-$target
	tar -xzf "$temp_dir/$archive" -C "$temp_dir" "$folder/$program" || err "cannot unpack $archive"

	# Never in place: a job that runs the old file keeps it, and macOS kills what has been written over.
	mkdir -p "$bin_dir" || err "cannot make $bin_dir"
	temp_bin=$bin_dir/.$program.$$
	cp "$temp_dir/$folder/$program" "$temp_bin" || err "cannot write to $bin_dir"
	chmod 755 "$temp_bin"
	"$temp_bin" --version </dev/null >/dev/null || err "$program $version does not run on this machine; nothing was installed"
	mv -f "$temp_bin" "$bin" || err "cannot write $bin"
	temp_bin=''

	say "installed $bin"
	look_after_job
	hint_path
}

# How the program is called in hints: by name where PATH finds this one.
called() {
	if [ "$(command -v "$program" 2>/dev/null)" = "$bin" ]; then say "$program"; else say "$bin"; fi
}

# Wherever the program is run, its input is not the pipe that this script comes through.

# The background job's state, as the program itself sees it; empty where it cannot tell, as with a setting that is out of
# range. Its exit status speaks of the sessions.
job_state() {
	{ "$bin" status --json </dev/null 2>/dev/null || true; } | sed -n 's/.*"daemon": *{"state": *"\([A-Za-z]*\)".*/\1/p'
}

# A job of the bash tool, which has the same label, or one whose program has gone would die or stay dead: it is made
# anew. A job of ours is left alone, because `install` would also store this shell's settings for it.
look_after_job() {
	case $(job_state) in
	foreign | programMissing)
		say 'the background job runs another program or one that has gone; installing it anew'
		"$bin" install </dev/null || err "the program is installed, the job is not; run $(called) install"
		;;
	waiting | running) say 'the background job uses it from its next check on' ;;
	unknown | '') say "whether there is a background job cannot be told; see $(called) status" ;;
	*)
		say 'next:'
		say "  $(called) status     what it sees of your sessions"
		say "  $(called) install    keep them fresh in the background"
		;;
	esac
}

hint_path() {
	case ":${PATH-}:" in
	*":$bin_dir:"*)
		first=$(command -v "$program" 2>/dev/null) || true
		[ "$first" = "$bin" ] || say "note: another $program comes first in PATH: $first"
		return
		;;
	esac
	# shellcheck disable=SC2016 # $HOME and $PATH are for the user's shell to expand.
	case $bin_dir in
	"$HOME"/*) shown='$HOME'${bin_dir#"$HOME"} ;;
	*) shown=$bin_dir ;;
	esac
	say "note: $bin_dir is not in PATH; to add it:"
	bash_file=.bashrc
	[ "$(uname -s)" != Darwin ] || bash_file=.bash_profile
	shell=${SHELL-}
	case ${shell##*/} in
	zsh) say "  echo 'export PATH=\"$shown:\$PATH\"' >> ~/.zshrc" ;;
	bash) say "  echo 'export PATH=\"$shown:\$PATH\"' >> ~/$bash_file" ;;
	fish) say "  fish_add_path \"$shown\"" ;;
	*) say "  export PATH=\"$shown:\$PATH\"    (in your shell's start-up file)" ;;
	esac
	say 'and open a new terminal'
}

uninstall() {
	[ -f "$bin" ] || [ -L "$bin" ] || err "$bin is not there"
	case $(job_state) in
	notInstalled) ;;
	foreign) say 'the background job runs another program; it is left alone' ;;
	*) "$bin" uninstall </dev/null || err "the background job could not be removed; $bin is kept" ;;
	esac
	rm -f "$bin" || err "cannot remove $bin"
	say "removed $bin"
	say "kept: $HOME/.local/share/$program (logs and settings) and $HOME/.aws (config and tokens)"
}

# The Rust target of this machine.
find_target() {
	os=$(uname -s)
	cpu=$(uname -m)
	case $os in
	Linux) system=unknown-linux-musl ;;
	Darwin)
		system=apple-darwin
		macos=$(sw_vers -productVersion 2>/dev/null) || macos=''
		case $macos in 10.*) err "macOS $macos is too old: it takes 11 or later" ;; esac
		# A shell under Rosetta is told x86_64.
		if [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || true)" = 1 ]; then cpu=arm64; fi
		;;
	*) err "there is no binary for $os" ;;
	esac
	case $cpu in
	x86_64 | amd64) target=x86_64-$system ;;
	arm64 | aarch64) target=aarch64-$system ;;
	*) err "there is no binary for $os on $cpu" ;;
	esac
}

# download URL FILE
download() {
	if has curl; then
		# Unless the address given is another kind, nothing but https, also after a redirect.
		case $1 in https:*) only='=https' ;; *) only='=https,http,file' ;; esac
		curl --proto "$only" --proto-redir "$only" -fsSL --retry 2 --connect-timeout 20 -o "$2" "$1" ||
			err "cannot download $1"
	elif has wget; then
		wget -q -t 2 -T 20 -O "$2" "$1" || err "cannot download $1"
	else
		err 'neither curl nor wget is there to download with'
	fi
}

# sha256 FILE
sha256() {
	if has sha256sum; then
		sha256sum <"$1" | cut -d ' ' -f 1
	elif has shasum; then
		shasum -a 256 <"$1" | cut -d ' ' -f 1
	elif has openssl; then
		openssl dgst -sha256 -r <"$1" | cut -d ' ' -f 1
	else
		err 'none of sha256sum, shasum and openssl is there: the download cannot be verified; nothing was installed'
	fi
}

{ main "$@"; }
