# The two commands of the README, and what they are made of.
#
#   make run     build belfryd and start it in the foreground, with the built-in defaults
#   make test    everything that is checked before a change lands

.PHONY: run build test check units packages

# Debian packages that the tests use: the clients that people have, and the tools to make a network, packages and whole
# machines to install them on.
TEST_PACKAGES = netcat-openbsd ncat socat iproute2 python3 tzdata debhelper mmdebstrap systemd-container

run: build
	cargo run --release --locked --quiet --bin belfryd -- $(if $(CONFIG),--config $(CONFIG))

build:
	cargo build --release --locked

test: packages check units

# Formatting, lints and documentation, with warnings as errors.
check:
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

units:
	cargo test --locked

# What is missing is installed when root; otherwise the tests that need it say that they are skipped, and why.
packages:
	@missing=$$(for package in $(TEST_PACKAGES); do \
	    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || echo $$package; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" -ne 0 ]; then echo "not root: going on without" $$missing; exit 0; fi; \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing
