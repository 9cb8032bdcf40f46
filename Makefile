# The commands of the README, and what they are made of.
#
#   make run        build belfryd and start it in the foreground, with the built-in defaults
#   make test       everything that is checked before a change lands
#   make deb        build the Debian packages, into target/deb
#   make lint-deb   what Debian's own checker says of them

.PHONY: run build test check units packages deb deb-packages lint-deb lint-deb-packages

# Debian packages that the tests use: the clients that people have, and the tools to make a network, packages and whole
# machines to install them on.
TEST_PACKAGES = netcat-openbsd ncat socat iproute2 nftables python3 tzdata debhelper mmdebstrap systemd-container man-db

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

# Without them the tests that need one say that they are skipped, and why.
packages:
	@$(call install,$(TEST_PACKAGES),going on without,0)

deb: deb-packages
	packaging/build-deb

deb-packages:
	@$(call install,build-essential debhelper,install first:,1)

lint-deb: lint-deb-packages
	lintian --allow-root --display-info --display-experimental --pedantic --fail-on error,warning target/deb/*.changes

lint-deb-packages:
	@$(call install,lintian,install first:,1)

# Debian packages $(1): what is missing is installed when root; who is not is told, with the words $(2), and the status
# is $(3) then.
define install
missing=$$(for package in $(1); do \
    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || echo $$package; done); \
if [ -z "$$missing" ]; then exit 0; fi; \
if [ "$$(id -u)" -ne 0 ]; then echo "not root: $(2)" $$missing; exit $(3); fi; \
apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing
endef
