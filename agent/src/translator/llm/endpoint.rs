//! The endpoint of the language model: one HTTP client, its retries, and what its failures mean.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::{HttpRequestFactory, ReqwestService};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::Response;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceBuilder;
use tower::retry::Policy;

use super::super::{TranslateError, Usage};
use crate::config::LlmConfig;

/// Tries after the first.
const RETRIES: usize = 2;

/// Longest pause that an endpoint may ask for; one that wants more is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Time for an endpoint to show that it is there.
const PROBE_DEADLINE: Duration = Duration::from_secs(3);

/// How much of an error's body goes to the log, in bytes.
const LOGGED: usize = 500;

/// Where the model is.
pub(super) struct Endpoint {
    client: Client<Address>,
    http: reqwest::Client,
    timeout: Duration,
}

/// Why there is no message.
#[derive(Debug)]
pub(super) enum ChatError {
    /// The endpoint answered with something that is no chat completion.
    Rubbish(String),
    /// It couldn't be reached, or failed.
    Failed(TranslateError),
}

/// What a model said.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
}

impl Message {
    pub(super) fn calls(&self) -> &[ToolCall] {
        self.tool_calls.as_deref().unwrap_or_default()
    }

    pub(super) fn has_anything(&self) -> bool {
        self.content.is_some() || !self.calls().is_empty()
    }
}

/// A call as the chat API writes it.
#[derive(Debug, Deserialize)]
pub(super) struct ToolCall {
    pub(super) function: Function,
}

#[derive(Debug, Deserialize)]
pub(super) struct Function {
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: Value,
}

/// A chat completion, with no more of it required than is used: compatible servers leave much out.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Default, Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Endpoint {
    pub(super) fn new(config: &LlmConfig) -> anyhow::Result<Self> {
        let mut http = reqwest::Client::builder().timeout(config.timeout).connect_timeout(CONNECT_DEADLINE);
        if is_loopback(&config.base_url) {
            http = http.no_proxy();
        }
        let http = http.build()?;
        let service =
            ServiceBuilder::new().and_then(refuse).retry(Retries::new()).service(ReqwestService::new(http.clone()));
        let address = Address::new(config)?;
        let client = Client::build(http.clone(), address).with_http_service(service);
        Ok(Self { client, http, timeout: config.timeout })
    }

    /// One chat completion, and what it took. The request must not ask for a stream.
    pub(super) async fn chat(&self, request: &Value) -> Result<(Message, Usage), ChatError> {
        let completion: Completion =
            self.client.chat().create_byot(request).await.map_err(|error| self.read_error(error))?;
        let tokens = completion.usage.unwrap_or_default();
        let message = completion.choices.into_iter().next().map(|choice| choice.message).unwrap_or_default();
        let usage = Usage {
            prompt_tokens: tokens.prompt_tokens,
            completion_tokens: tokens.completion_tokens,
            tool_calls: message.calls().len() as u64,
        };
        Ok((message, usage))
    }

    /// Whether the endpoint answers at all, and takes the key; costs no tokens.
    pub(super) async fn reachable(&self) -> Result<(), String> {
        let address = self.client.config();
        let probe = self.http.get(address.url("/models")).headers(address.headers()).timeout(PROBE_DEADLINE);
        match probe.send().await {
            Ok(response) if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err("the language model's endpoint does not accept LLM_API_KEY".to_owned())
            }
            Ok(_) => Ok(()),
            Err(_) => Err("the language model's endpoint can't be reached".to_owned()),
        }
    }

    fn read_error(&self, error: OpenAIError) -> ChatError {
        let unavailable = |message: &str, retry_after_s: Option<u64>, source: anyhow::Error| {
            let message = message.to_owned();
            ChatError::Failed(TranslateError::Unavailable { message, retry_after_s, source: Some(source) })
        };
        match error {
            OpenAIError::JSONDeserialize(..) => ChatError::Rubbish("the answer was no chat completion".to_owned()),
            OpenAIError::Reqwest(error) if error.is_timeout() && !error.is_connect() => {
                let limit_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
                ChatError::Failed(TranslateError::TimedOut { limit_ms })
            }
            OpenAIError::Reqwest(error) => unavailable("it can't be reached", None, error.without_url().into()),
            OpenAIError::Boxed(error) => match error.downcast::<Refused>() {
                Ok(refused) => {
                    let refused = refused.without(self.client.config().api_key());
                    unavailable(refused.in_words(), refused.retry_after_s, refused.into())
                }
                Err(other) => unavailable("its client failed", None, anyhow::Error::from_boxed(other)),
            },
            other => unavailable("its client failed", None, other.into()),
        }
    }
}

/// An answer that is not a success, with the endpoint's own words for the log.
#[derive(Debug, thiserror::Error)]
#[error("HTTP status {status}: {body}")]
struct Refused {
    status: StatusCode,
    retry_after_s: Option<u64>,
    body: String,
}

impl Refused {
    /// The same without the key, should the endpoint have repeated it.
    fn without(mut self, key: &SecretString) -> Self {
        if !key.expose_secret().is_empty() {
            self.body = self.body.replace(key.expose_secret(), "***");
        }
        self
    }

    fn in_words(&self) -> &'static str {
        match self.status.as_u16() {
            401 | 403 => "its endpoint does not accept LLM_API_KEY",
            404 => "its endpoint knows no such model or path: see LLM_MODEL and LLM_BASE_URL",
            429 => "its endpoint takes no more requests for now",
            400..=499 => "its endpoint refused the request",
            _ => "its endpoint failed",
        }
    }
}

/// async-openai would drop the Retry-After header, and log the body.
async fn refuse(mut response: Response) -> Result<Response, OpenAIError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let mut body = Vec::new();
    // Endpoints like to repeat the key that they don't accept.
    if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(LOGGED - body.len())]);
            if body.len() >= LOGGED {
                break;
            }
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    let retry_after_s = retry_after(response.headers()).map(|pause| pause.as_secs());
    Err(OpenAIError::Boxed(Box::new(Refused { status, retry_after_s, body })))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Tries again on 429, 5xx, a connection that fails and, once, on a timeout; as late as the endpoint asks.
#[derive(Clone)]
struct Retries {
    done: usize,
    most: usize,
}

impl Retries {
    fn new() -> Self {
        Self { done: 0, most: RETRIES }
    }

    /// A quarter of a second, then twice that, each with up to as much again by chance.
    fn pause(&self) -> Option<Duration> {
        ExponentialBuilder::new().with_jitter().with_min_delay(Duration::from_millis(250)).build().nth(self.done)
    }
}

impl Policy<HttpRequestFactory, Response, OpenAIError> for Retries {
    type Future = BoxFuture<'static, ()>;

    fn retry(
        &mut self,
        _request: &mut HttpRequestFactory,
        result: &mut Result<Response, OpenAIError>,
    ) -> Option<Self::Future> {
        let asked_for = match result {
            Ok(response) => {
                let status = response.status();
                if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
                    return None;
                }
                retry_after(response.headers())
            }
            Err(OpenAIError::Reqwest(error)) if error.is_connect() => None,
            Err(OpenAIError::Reqwest(error)) if error.is_timeout() => {
                self.most = 1;
                None
            }
            Err(_) => return None,
        };
        let pause = asked_for.or_else(|| self.pause()).filter(|pause| *pause <= LONGEST_PAUSE)?;
        if self.done >= self.most {
            return None;
        }
        self.done += 1;
        Some(Box::pin(tokio::time::sleep(pause)))
    }

    fn clone_request(&mut self, request: &HttpRequestFactory) -> Option<HttpRequestFactory> {
        Some(request.clone())
    }
}

/// Base address and key, as async-openai asks for them. Its own type reads the environment and always sends a key.
#[derive(Clone)]
struct Address {
    base_url: String,
    key: SecretString,
    headers: HeaderMap,
}

impl Address {
    fn new(config: &LlmConfig) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self { base_url: config.base_url.clone(), key: config.key.clone().unwrap_or_default(), headers })
    }
}

impl Config for Address {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

fn is_loopback(base_url: &str) -> bool {
    let host = http::Uri::try_from(base_url).ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
