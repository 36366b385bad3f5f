//! The stages of the pipeline, each in a span of its own and timed.

use std::time::{Duration, Instant};

use metrics::histogram;
use tracing::{Instrument, info_span};

use crate::answer::Timings;
use crate::telemetry::metric;

/// A step of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Route,
    Context,
    Generate,
    Validate,
    Execute,
    Verify,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Context => "context",
            Self::Generate => "generate",
            Self::Validate => "validate",
            Self::Execute => "execute",
            Self::Verify => "verify",
        }
    }
}

/// Adds up the time of each stage of one question.
pub(super) struct Stopwatch {
    started: Instant,
    timings: Timings,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), timings: Timings::default() }
    }

    /// Runs a stage that may fail.
    pub(super) async fn time<T, E>(&mut self, stage: Stage, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let started = Instant::now();
        let result = work.instrument(info_span!("stage", stage = stage.name())).await;
        self.record(stage, started.elapsed(), if result.is_ok() { "ok" } else { "failed" });
        result
    }

    /// Runs a stage that can't fail.
    pub(super) async fn time_plain<T>(&mut self, stage: Stage, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = work.instrument(info_span!("stage", stage = stage.name())).await;
        self.record(stage, started.elapsed(), "ok");
        result
    }

    /// The times so far, the total up to now.
    pub(super) fn timings(&self) -> Timings {
        Timings { total: millis(self.started.elapsed()), ..self.timings }
    }

    fn record(&mut self, stage: Stage, took: Duration, outcome: &'static str) {
        histogram!(metric::STAGE_SECONDS, "stage" => stage.name(), "outcome" => outcome).record(took);
        let total = match stage {
            Stage::Route => &mut self.timings.route,
            Stage::Context => &mut self.timings.context,
            Stage::Generate => &mut self.timings.generate,
            Stage::Validate => &mut self.timings.validate,
            Stage::Execute => &mut self.timings.execute,
            Stage::Verify => &mut self.timings.verify,
        };
        *total = round(*total + took.as_secs_f64() * 1000.0);
    }
}

fn millis(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1000.0)
}

/// To a microsecond: more digits would be noise.
fn round(millis: f64) -> f64 {
    (millis * 1000.0).round() / 1000.0
}
