# The commands of the README, and what they are made of.
#
#   make run        build belfryd and start it in the foreground, with the built-in defaults
#   make test       everything that is checked before a change lands
#   make bench      measure belfryd against the kernel and its peers, and write docs/BENCHMARKS.md; FIGURES="time" only prints
#   make deb        build the Debian packages, into target/deb
#   make lint-deb   what Debian's own checker says of them
#   make fuzz       looks for bytes that break what must hold, FUZZ_SECONDS=60 for each of FUZZ_TARGETS (all of them)

.PHONY: run build test check units packages bench peers deb deb-packages lint-deb lint-deb-packages fuzz fuzz-tools

# Debian packages that the tests use: the clients that people have, and the tools to make a network, packages and whole
# machines to install them on.
TEST_PACKAGES = netcat-openbsd ncat socat iproute2 nftables python3 tzdata debhelper mmdebstrap systemd-container man-db jq tmux \
    ntpsec-ntpdig rdate

run: build
	cargo run --release --locked --quiet --bin belfryd -- $(if $(CONFIG),--config $(CONFIG))

build:
	cargo build --release --locked

test: packages peers check units

# Formatting, lints and documentation, with warnings as errors.
check:
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

units:
	$(WITH_PEERS) cargo test --locked

# Without them the tests that need one say that they are skipped, and why.
packages:
	@$(call install,$(TEST_PACKAGES),going on without,0)

# What belfryd is measured against, and chrony is a client of the tests too. They are unpacked, not installed: that would start
# servers, and put chrony in the place of the host's own time daemon.
PEERS = chrony nats-server mosquitto
PEERS_FOLDER = $(abspath $(or $(CARGO_TARGET_DIR),target))/peers
# All of them, unless some are named.
FIGURES =

WITH_PEERS = PATH="$$PATH:$(PEERS_FOLDER)/usr/sbin:$(PEERS_FOLDER)/usr/bin" \
	LD_LIBRARY_PATH="$$(echo $(PEERS_FOLDER)/usr/lib/*-linux-gnu*)"

bench: peers
	$(WITH_PEERS) cargo bench --locked --bench figures -- $(FIGURES)

# What the host does not have of them, with the libraries that they need. Without them the tables say who is missing, and the
# tests what is skipped.
peers:
	@test -e $(PEERS_FOLDER)/unpacked || $(unpack-peers) || echo 'going on without those that are not installed of:' $(PEERS)

define unpack-peers
{ \
    mkdir -p $(PEERS_FOLDER) && cd $(PEERS_FOLDER) && \
    { [ "$$(id -u)" -ne 0 ] || apt-get update -q; } && \
    plan=$$(apt-get install --simulate --no-install-recommends $(PEERS)) && \
    missing=$$(echo "$$plan" | sed -n 's/^Inst \([^ ]*\).*/\1/p') && \
    { [ -z "$$missing" ] || apt-get download -q -o APT::Sandbox::User=root $$missing; } && \
    for archive in *.deb; do [ ! -e "$$archive" ] || dpkg-deb -x "$$archive" . || exit 1; done && \
    rm -f *.deb && touch unpacked; \
}
endef

deb: deb-packages
	packaging/build-deb

deb-packages:
	@$(call install,build-essential debhelper,install first:,1)

lint-deb: lint-deb-packages
	lintian --allow-root --display-info --display-experimental --pedantic --fail-on error,warning target/deb/*.changes

lint-deb-packages:
	@$(call install,lintian,install first:,1)

# Every target, unless some are named.
FUZZ_TARGETS = $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))
FUZZ_SECONDS = 60
# For libFuzzer: -runs=10000000, -jobs=2 and the like.
FUZZ_FLAGS =

# What it finds is in fuzz/artifacts/TARGET; minimised (cargo +nightly fuzz tmin) it belongs into fuzz/regressions/TARGET. Without
# a sanitizer: it is safe Rust, in which they have nothing to find, and it is twice as fast.
fuzz: fuzz-tools fuzz/corpus/frames/vector-0
	@cd fuzz && set -e; for target in $(FUZZ_TARGETS); do \
	    mkdir -p corpus/$$target; \
	    echo "== $$target"; \
	    cargo +nightly fuzz run --sanitizer none $$target corpus/$$target $$(ls -d seeds/$$target regressions/$$target 2>/dev/null) -- \
	        -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -timeout=10 -rss_limit_mb=1024 \
	        $$(test ! -e dictionaries/$$target.dict || echo -dict=dictionaries/$$target.dict) $(FUZZ_FLAGS); \
	done

# The examples of the protocol, as seeds.
fuzz/corpus/frames/vector-0: docs/protocol-vectors.json
	@cd fuzz && cargo run --locked --quiet --example vectors -- corpus

fuzz-tools:
	@cargo +nightly --version >/dev/null 2>&1 || { echo 'install first: rustup toolchain install nightly --profile minimal'; exit 1; }
	@cargo fuzz --version >/dev/null 2>&1 || { echo 'install first: cargo install cargo-fuzz --locked'; exit 1; }

# Debian packages $(1): what is missing is installed when root; who is not is told, with the words $(2), and the status
# is $(3) then.
define install
missing=$$(for package in $(1); do \
    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || echo $$package; done); \
if [ -z "$$missing" ]; then exit 0; fi; \
if [ "$$(id -u)" -ne 0 ]; then echo "not root: $(2)" $$missing; exit $(3); fi; \
apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing
endef
