# Thin on purpose: each target is one command that also works by itself.
.PHONY: demo test test-full scorecard openapi lint bench simulator-score clean-test

demo: ## Bring a portal to ready against the simulator, and show it
	@bash -c '. scripts/lib.sh && need_compiler' && cargo build --example demo && cargo run --quiet --example demo

test: ## Everything that must hold, on both databases; sets up what it needs
	@scripts/test.sh

test-full: ## The same with 10,000 generated API cases, the large numbers of the reliability suite and the score of Stripe's CLI
	@scripts/test.sh --full

scorecard: ## What the reliability tests tried and found the last time they ran, as target/scorecard.json
	@scripts/scorecard.sh

openapi: ## Write openapi/openapi.json anew from the handler types
	@cargo run --quiet -- openapi > openapi/openapi.json.new && mv openapi/openapi.json.new openapi/openapi.json

lint: ## Formatting, clippy, the API's description
	@scripts/test.sh --only format,clippy,openapi,openapi-lint

bench: ## Start, memory and size of the release build
	@benches/footprint.sh

simulator-score: ## How many billing scripts of Stripe's CLI the simulator passes
	@stripe-simulator/scripts/simulator_score.sh

clean-test: ## Remove the tools and data the tests set up for themselves
	@rm -rf target/test-tools target/sdk target/outside-python stripe-simulator/tests/outside/node_modules scripts/tools/node_modules
