# krealm: a Kerberos realm server whose replicas are milliseconds behind.
# `make` alone lists the targets.

GO          ?= go
PREFIX      ?= /usr/local
DESTDIR     ?=
FUZZTIME    ?= 20s
BENCHTIME   ?= 1s
SIZES       ?= 200000
DURATION    ?= 5m
SEED        ?= 0
SEEDS       ?= 1000000000
PKG         ?= ./...
ARGS        ?=
ONCE        ?=
KEEP        ?=
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK ?= golang.org/x/vuln/cmd/govulncheck@v1.1.4

.DEFAULT_GOAL := help
.PHONY: help build run test race fuzz lint vuln bench install deps clean crash netns simulate

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  Settings: ONCE=1 (run: end after the show), KEEP=1 (run: keep its directory), PKG=./kdc/... ARGS=-v (test, race),'
	@echo '  FUZZTIME=20s, BENCHTIME=1s, SIZES=200000,1000000 (bench), DURATION=5m, SEED=n (crash, simulate), PREFIX=/usr/local, DESTDIR='

build: ## build bin/kdc, bin/krep, bin/krepd
	$(GO) build -trimpath -o bin/ ./kdc ./krep ./krepd

run: build ## the main job: an MIT realm moves in and replicates to two slaves
	@tests/deps.sh client || echo 'run: no stock client; the tickets will be asked for with gokrb5'
	@$(GO) build -trimpath -o bin/demo ./tests/demo
	@ONCE=$(ONCE) KEEP=$(KEEP) bin/demo -bin bin -fixture tests/testdata/realm

test: ## vet, build and all tests; installs the stock MIT programs, which judge ours
	@tests/deps.sh all
	$(GO) vet ./...
	@$(MAKE) --no-print-directory build
	$(GO) test $(ARGS) $(PKG)

race: ## all tests under the race detector
	@tests/deps.sh all
	@$(MAKE) --no-print-directory build
	$(GO) test -race $(ARGS) $(PKG)

fuzz: ## every fuzz target for FUZZTIME
	@tests/fuzz.sh $(FUZZTIME)

simulate: ## a realm simulated from random seeds for DURATION (SEED=n: the first; SEEDS=1: only that, told in full)
	$(GO) test ./tests/sim -count=1 -v -timeout 0 $(if $(filter 1,$(SEEDS)),-run TestSeed -sim.seed=$(SEED),\
	  -run 'TestEveryStep|TestStories|TestRealStories' -sim.stride=1 -sim.bad=10 -sim.duration=$(DURATION) -sim.seeds=$(SEEDS) \
	  -sim.first=$$([ $(SEED) = 0 ] && date +%s || echo $(SEED))) $(ARGS)

crash: ## kill -9, bad networks, full disk, clock steps on a master and three slaves for DURATION (SEED=n)
	@tests/deps.sh client
	$(GO) test ./tests/crash -run TestCrash -count=1 -v -timeout 0 -crash.duration=$(DURATION) -crash.seed=$(SEED)

netns: ## replication between network namespaces, with cables pulled; as root, or with user namespaces
	@tests/deps.sh netns
	$(GO) vet -tags netns ./tests/netns
	$(GO) test -tags netns ./tests/netns -count=1 -v

lint: vuln ## gofmt, go vet, staticcheck, govulncheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	  if [ -n "$$unformatted" ]; then echo "gofmt would change:" $$unformatted >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

vuln: ## govulncheck; says so where its database cannot be reached
	@GO='$(GO)' tests/vuln.sh $(GOVULNCHECK)

bench: build ## kdb5_util and replication against the stock ones, then the Go benchmarks
	@tests/deps.sh all
	@tests/deps.sh netns
	$(GO) run ./tests/bench -bin bin -n $(SIZES)
	$(GO) run ./tests/bench/replication -bin bin
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

install: build ## install under PREFIX; MIT's names for the kdc go to PREFIX/libexec/krealm, so nothing stock is hidden
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/libexec/krealm
	install -m 0755 bin/kdc bin/krep bin/krepd $(DESTDIR)$(PREFIX)/sbin/
	for name in krb5kdc kadmin.local kdb5_util; do \
	  ln -sf ../../sbin/kdc $(DESTDIR)$(PREFIX)/libexec/krealm/$$name; done

deps: ## install Debian's MIT Kerberos packages; starts no service
	@tests/deps.sh all

clean: ## remove what make built
	rm -rf bin tests/out
