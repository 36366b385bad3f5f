//! The translator that asks a language model, through any endpoint that speaks OpenAI's chat API.

mod budget;
mod endpoint;
mod tools;

use async_trait::async_trait;
use metrics::counter;
use moka::future::Cache;
use serde_json::{Value, json};
use tracing::debug;

use super::{Abstention, Candidate, TranslateError, TranslationRequest, Translator, Usage};
use crate::config::LlmConfig;
use crate::telemetry::metric;
use endpoint::{ChatError, Endpoint, Message};
use tools::Call;

const SYSTEM: &str = include_str!("prompts/system.md");

/// How often a model is asked again in one attempt when it didn't answer by a tool call.
const ASKED_AGAIN: usize = 1;

/// How much of a useless answer is shown to the model when it is asked again, in characters.
const QUOTED: usize = 1000;

/// How long an endpoint that was seen, or not, counts as such for `/ready`.
const SEEN_FOR: std::time::Duration = std::time::Duration::from_secs(10);

/// Asks a language model, and takes nothing but a tool call for an answer.
pub struct Llm {
    endpoint: Endpoint,
    model: String,
    context_tokens: usize,
    seen: Cache<(), Result<(), String>>,
}

impl Llm {
    /// Fails where no HTTP client can be made, e.g. for want of root certificates.
    pub fn new(config: &LlmConfig) -> anyhow::Result<Self> {
        Ok(Self {
            endpoint: Endpoint::new(config)?,
            model: config.model.clone(),
            context_tokens: config.context_tokens,
            seen: Cache::builder().max_capacity(1).time_to_live(SEEN_FOR).build(),
        })
    }

    /// Asks until there is a tool call, at most once more than once.
    async fn ask(&self, mut messages: Vec<Value>, usage: &mut Usage) -> Result<Call, TranslateError> {
        let mut problem = String::new();
        for _ in 0..=ASKED_AGAIN {
            let request = json!({
                "model": self.model, "messages": messages, "tools": tools::definitions(), "tool_choice": "required",
            });
            let said = match self.endpoint.chat(&request).await {
                Ok((message, spent)) => {
                    *usage += spent;
                    counter!(metric::LLM_TOKENS, "kind" => "prompt").increment(spent.prompt_tokens);
                    counter!(metric::LLM_TOKENS, "kind" => "completion").increment(spent.completion_tokens);
                    message
                }
                Err(ChatError::Rubbish(what)) => {
                    problem = what;
                    Message::default()
                }
                Err(ChatError::Failed(error)) => {
                    counter!(metric::LLM_CALLS, "outcome" => "failed").increment(1);
                    return Err(error);
                }
            };
            match tools::read(&said) {
                Ok(call) => {
                    counter!(metric::LLM_CALLS, "outcome" => "called").increment(1);
                    return Ok(call);
                }
                Err(why) if problem.is_empty() || said.has_anything() => problem = why,
                Err(_) => {}
            }
            counter!(metric::LLM_CALLS, "outcome" => "unusable").increment(1);
            debug!("the language model's answer was of no use: {problem}");
            if let Some(content) = said.content.filter(|content| !content.trim().is_empty()) {
                let quoted: String = content.chars().take(QUOTED).collect();
                messages.push(json!({ "role": "assistant", "content": quoted }));
            }
            let again =
                format!("That was of no use: {problem}. Call submit_sql or cannot_answer, and write nothing else.");
            messages.push(json!({ "role": "user", "content": again }));
        }
        Err(TranslateError::Unusable(problem))
    }
}

#[async_trait]
impl Translator for Llm {
    fn label(&self) -> String {
        format!("llm:{}", self.model)
    }

    async fn translate(&self, request: &TranslationRequest<'_>) -> Result<Candidate, TranslateError> {
        let schema = budget::schema_text(request.context, request.question, self.context_tokens);
        let mut usage = Usage::default();
        match self.ask(conversation(request, &schema.text), &mut usage).await? {
            Call::SubmitSql(submitted) => Ok(Candidate {
                plan: Some(json!({ "explanation": submitted.explanation, "confidence": submitted.confidence })),
                sql: submitted.sql,
                params: submitted.params,
                summary: submitted.explanation,
                reading: None,
                assumptions: submitted.assumptions,
                warnings: schema.cut.into_iter().collect(),
                usage,
            }),
            Call::CannotAnswer { reason, missing } => {
                Err(TranslateError::Abstained(Abstention { reason, unexplained: missing, ..Abstention::default() }))
            }
        }
    }

    async fn usable(&self) -> Result<(), String> {
        self.seen.get_with((), self.endpoint.reachable()).await
    }
}

/// System prompt with the schema, the question, and each earlier attempt as the call that it was and its result.
fn conversation(request: &TranslationRequest<'_>, schema: &str) -> Vec<Value> {
    let context = request.context;
    let question = format!(
        "Today is {} ({}). At most {} rows are shown.\n\nQuestion: {}",
        context.today, context.timezone, request.max_rows, request.question
    );
    let mut messages = vec![
        json!({ "role": "system", "content": format!("{SYSTEM}\n# The database\n{schema}") }),
        json!({ "role": "user", "content": question }),
    ];
    for (number, attempt) in request.feedback.iter().enumerate() {
        let id = format!("attempt_{}", number + 1);
        messages.push(tools::as_message(&id, &attempt.sql));
        let problem = format!("This statement did not stand.\n{}\nSubmit a better one.", attempt.problem);
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": problem }));
    }
    messages
}

#[cfg(test)]
mod tests;
