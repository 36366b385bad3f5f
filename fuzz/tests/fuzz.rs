//! Fuzzing as a test: short and always the same, unless FUZZ_SECONDS and FUZZ_SEED say otherwise.

use std::env::VarError;
use std::time::Duration;

use fuzz::Options;

/// Syntax trees may be deep.
const STACK_BYTES: usize = 64 << 20;

fn number(variable: &str) -> Option<u64> {
    match std::env::var(variable) {
        Ok(value) => Some(value.parse().unwrap_or_else(|_| panic!("{variable} is {value:?}, which is no number"))),
        Err(VarError::NotPresent) => None,
        Err(error) => panic!("{variable}: {error}"),
    }
}

#[test]
fn what_the_guard_lets_pass_keeps_to_the_policy() {
    let options = Options {
        time: Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(15)),
        seed: number("FUZZ_SEED").unwrap_or(4),
    };
    println!("FUZZ_SECONDS={} FUZZ_SEED={}", options.time.as_secs(), options.seed);
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(fuzz::run(options))
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).expect("a thread starts");
    let report = thread.join().expect("it doesn't panic").unwrap_or_else(|error| panic!("{error:#}"));
    println!("{report}");
    assert!(report.accepted > 100, "too few statements passed to say anything: {report}");
    let findings: String = report.findings.iter().map(|finding| format!("\n{finding}")).collect();
    assert!(report.findings.is_empty(), "{report}{findings}");
}
