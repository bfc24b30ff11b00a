//! The simulator's command line.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use stripe_simulator::{API_VERSION, Builder, ClockMode, Simulator};

/// With 100,000 objects in the heap the C library's allocator spends more on finding room for an
/// answer than the simulator on making it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
stripe-simulator: Stripe, offline. Not Stripe; no real money.

    stripe-simulator [--listen ADDRESS] [--seed NUMBER] [--key KEY]...
                     [--clock running|UNIX_SECONDS] [--upstream-latency-ms NUMBER]
                     [--default-api-version VERSION] [--check-responses on|off]

    --listen ADDRESS           default 127.0.0.1:12111; port 0 takes a free one
    --seed NUMBER              of all ids; default 1
    --key KEY                  accept this key too (sk_test_…, sk_live_…, pk_…)
    --clock running            the account's clock follows the wall (default)
    --clock UNIX_SECONDS       it stands at this instant until it is advanced
    --upstream-latency-ms N    hold every answer back by this time
    --default-api-version V    of requests without Stripe-Version; default the pinned one
    --check-responses on       check answers against Stripe's shapes; see /_simulator/violations
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        say(USAGE);
        return ExitCode::SUCCESS;
    }
    match configure(&arguments).and_then(|builder| run(builder).map_err(|e| e.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nothing can be done when standard error itself is closed.
            let _ = writeln!(std::io::stderr(), "stripe-simulator: {message}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn configure(arguments: &[String]) -> Result<Builder, String> {
    let mut builder = Simulator::builder().listen(SocketAddr::from(([127, 0, 0, 1], 12_111)));
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
        let invalid = || format!("{name} cannot be {value:?}");
        builder = match name.as_str() {
            "--listen" => builder.listen(value.parse().map_err(|_| invalid())?),
            "--seed" => builder.seed(value.parse().map_err(|_| invalid())?),
            "--key" => builder.key(value),
            "--clock" if value == "running" => builder.clock(ClockMode::Running { offset: 0 }),
            "--clock" => builder.clock(ClockMode::Frozen {
                at: value.parse().map_err(|_| invalid())?,
            }),
            "--upstream-latency-ms" => {
                builder.upstream_latency_ms(value.parse().map_err(|_| invalid())?)
            }
            "--default-api-version" => builder.default_api_version(value),
            "--check-responses" if value == "on" || value == "off" => {
                builder.check_responses(value == "on")
            }
            _ => return Err(format!("unknown argument {name} {value}")),
        };
    }
    Ok(builder)
}

fn run(builder: Builder) -> std::io::Result<()> {
    let simulator = builder.start()?;
    say(&format!(
        "stripe-simulator {} (not Stripe) speaks {API_VERSION} on {}\n",
        env!("CARGO_PKG_VERSION"),
        simulator.base_url()
    ));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(tokio::signal::ctrl_c())
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    // A closed pipe is no reason to stop serving.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
