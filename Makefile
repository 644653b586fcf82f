# Every target does its own set-up; `make help` lists them.

.PHONY: help build install demo test check deny mutants torture fuzz interop interop-short browser screenshots bench dist dist-twice size

# Where `make install` puts things; packagers set DESTDIR as well.
PREFIX ?= $(HOME)/.local

help:
	@echo 'make build    the program, as contributors use it (target/release)'
	@echo 'make install  the program, its man page and completions, into PREFIX (~/.local)'
	@echo 'make demo     the main job on a throw-away home, against an embedded Identity Center'
	@echo 'make test     every test that needs nothing but Rust'
	@echo 'make torture  the long proof, a quarter of an hour: steps, kills, lies, hostile input, races, fuzzing (TORTURE=4: an hour)'
	@echo 'make interop  every AWS tool that shares the token cache: the matrix, and thousands of races (interop-short: minutes)'
	@echo 'make deny     the dependencies: licences, sources, build scripts, what is known against them'
	@echo 'make mutants  breaks each line of the pure core, the file operations and the signals, and sees a test notice: hours'
	@echo 'make fuzz     every parser that foreign bytes reach, FUZZ_SECONDS (60) each'
	@echo 'make bench    what the program costs, next to other programs; the bounds of ratios decide'
	@echo 'make size     the size of the release binary, on static Linux x86-64'
	@echo 'make dist     the release files, into dist/ (dist-twice: and that a second build has the same bytes)'
	@echo 'make browser  the sign-in in a real, headless Chromium; pictures of its pages in target/pictures'
	@echo 'make screenshots'
	@echo '              the pictures of the README, made of what the real program shows'
	@echo 'make check    the gate: format, lints, tests, docs'

build:
	cargo build --release --locked

# Each file is replaced in one step: a job that starts meanwhile finds the old program or the new one.
install: build
	@set -eu; umask 022; to='$(DESTDIR)$(PREFIX)'; from="$${CARGO_TARGET_DIR:-target}/release"; \
	put() { install -d "$${3%/*}"; install -m "$$1" "$$2" "$$3.new"; mv -f "$$3.new" "$$3"; }; \
	put 755 "$$from/aws-sso-refresh" "$$to/bin/aws-sso-refresh"; \
	put 644 fixtures/help/aws-sso-refresh.1 "$$to/share/man/man1/aws-sso-refresh.1"; \
	put 644 fixtures/help/aws-sso-refresh.bash "$$to/share/bash-completion/completions/aws-sso-refresh"; \
	put 644 fixtures/help/_aws-sso-refresh "$$to/share/zsh/site-functions/_aws-sso-refresh"; \
	put 644 fixtures/help/aws-sso-refresh.fish "$$to/share/fish/vendor_completions.d/aws-sso-refresh.fish"; \
	echo "Installed below $$to. The background job: $$to/bin/aws-sso-refresh install"

demo:
	cargo test --quiet --locked --test demo

test:
	cargo test --locked -- --test-threads=8
	if command -v python3 >/dev/null; then python3 tests/install_sh.py; else echo 'SKIPPED install.sh: no python3'; fi

check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	tests/fuzz/run.sh check
	$(MAKE) test
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

deny:
	tests/deny.sh

mutants:
	tests/mutants.sh

torture:
	tests/torture.sh

fuzz:
	tests/fuzz/run.sh

# Tools are installed into target/interop and kept there; what cannot be had is SKIPPED, with the reason.
interop:
	cargo build --quiet --locked --bins --examples
	python3 tests/interop/check_identity_center.py
	python3 tests/interop/sign_in.py
	python3 tests/interop/matrix.py
	python3 tests/interop/race.py

# botocore, the AWS CLI v2 and the JS SDK: the columns that matter most, and some hundred races.
interop-short:
	cargo build --quiet --locked --bins --examples
	python3 tests/interop/sign_in.py
	python3 tests/interop/matrix.py --short
	python3 tests/interop/race.py --short

# What cannot be had (rustup, zig) is SKIPPED, with the reason.
size:
	.ci/dist size

dist:
	.ci/dist

dist-twice: dist
	.ci/dist again aarch64-apple-darwin x86_64-apple-darwin x86_64-unknown-linux-musl aarch64-unknown-linux-musl

browser:
	cargo build --quiet --locked --bins --examples
	python3 tests/interop/browser_login.py || [ $$? = 77 ] # SKIPPED, as it has said

bench: size
	cargo build --quiet --release --locked --bins --examples
	python3 tests/bench/bench.py

# What cannot be had (tmux, a user manager of systemd, Chromium) is SKIPPED, with the reason.
screenshots: browser
	cargo build --quiet --locked --bins --examples
	python3 tests/screenshots/shots.py || [ $$? = 77 ] # SKIPPED, as it has said
