//! What a client is told while its calls run and when they end, where it asks for that.

use harness::{McpServer, ServerOptions, shared_postgres};
use serde_json::{Value, json};

use crate::client::{Client, until};
use crate::http_client::HttpClient;
use crate::streamable_http::{endless, newest_meta, runs};
use crate::{database_of, shop_server};

/// The next message that isn't news of what there is to see, which comes whenever a catalog has been read.
async fn next(client: &mut Client) -> Value {
    loop {
        let message = client.receive().await;
        if !message["method"].as_str().is_some_and(|method| method.ends_with("/list_changed")) {
            return message;
        }
    }
}

/// What came before the answer to a request, and the answer.
async fn told(client: &mut Client, method: &str, params: Value) -> (Vec<Value>, Value) {
    let id = client.start(method, params).await;
    let mut told = Vec::new();
    loop {
        let message = next(client).await;
        if message["id"] == id {
            return (told, message);
        }
        told.push(message);
    }
}

fn run(query: &str) -> Value {
    json!({ "name": "run_sql", "arguments": { "query": query } })
}

#[tokio::test]
async fn a_client_is_told_of_its_calls_from_the_level_on_that_it_sets() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let (messages, _) = told(&mut client, "tools/call", run("SELECT 1")).await;
    assert!(messages.is_empty(), "nobody asked for any: {messages:?}");

    client.request("logging/setLevel", json!({ "level": "info" })).await;
    let (messages, _) = told(&mut client, "tools/call", run("SELECT 'a secret value' AS a")).await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0]["method"], "notifications/message");
    let params = &messages[0]["params"];
    assert_eq!((&params["level"], &params["logger"]), (&json!("info"), &json!("mcp-server")));
    assert_eq!(params["data"]["message"], "run_sql answered ok");
    assert!(!messages[0].to_string().contains("secret"), "{messages:?}");

    client.request("logging/setLevel", json!({ "level": "warning" })).await;
    let (messages, _) = told(&mut client, "tools/call", run("SELECT 1")).await;
    assert!(messages.is_empty(), "{messages:?}");
    let (messages, _) = told(&mut client, "tools/call", run("DROP TABLE users")).await;
    assert_eq!(messages[0]["params"]["level"], "warning", "{messages:?}");
    assert_eq!(messages[0]["params"]["data"]["outcome"], "WRITE_OPERATION_DENIED");

    let answer = client.request("logging/setLevel", json!({ "level": "loud" })).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}

#[tokio::test]
async fn over_http_a_client_is_told_along_the_stream_of_its_call() {
    let server = shop_server().await;
    let mut client = HttpClient::open(&server).await;
    client.request("logging/setLevel", json!({ "level": "info" })).await;
    let answered = client.run("SELECT 1").await;
    let messages = answered.messages();
    assert!(messages.len() == 2 && messages[0].contains("run_sql answered ok"), "{answered:?}");
}

#[tokio::test]
async fn in_the_newest_revision_each_request_says_its_level() {
    let server = shop_server().await;
    let mut client = Client::connect(&server).await;
    client.receive().await;
    let mut params = run("SELECT 1");
    params["_meta"] = newest_meta();
    assert!(told(&mut client, "tools/call", params.clone()).await.0.is_empty());
    params["_meta"]["io.modelcontextprotocol/logLevel"] = json!("debug");
    let (messages, _) = told(&mut client, "tools/call", params).await;
    assert_eq!(messages[0]["params"]["data"]["message"], "run_sql answered ok", "{messages:?}");
}

#[tokio::test]
async fn a_long_call_says_that_it_goes_on_until_it_is_cancelled() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let mut params = endless("it_goes_on");
    params["_meta"] = json!({ "progressToken": "p1" });
    let id = client.start("tools/call", params).await;
    let mut before = 0.0;
    for _ in 0..2 {
        let message = next(&mut client).await;
        assert_eq!(message["method"], "notifications/progress", "{message}");
        assert_eq!(message["params"]["progressToken"], "p1");
        let progress = message["params"]["progress"].as_f64().unwrap();
        assert!(progress > before, "{message}");
        assert!(message["params"]["message"].as_str().unwrap().starts_with("run_sql has run for "), "{message}");
        before = progress;
    }
    assert!(runs("it_goes_on").await);
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    client.send(&cancel.to_string()).await;
    until("the statement is cancelled", async || !runs("it_goes_on").await).await;
    // Whatever was on its way has come by the time of an answer; then nothing more does.
    loop {
        let (rest, _) = told(&mut client, "ping", json!({})).await;
        if rest.is_empty() {
            break;
        }
        assert!(rest.iter().all(|message| message["method"] == "notifications/progress"), "{rest:?}");
    }
}

#[tokio::test]
async fn what_a_function_says_of_values_is_not_logged() {
    let postgres = shared_postgres().await;
    let sql = "CREATE TABLE people (name text);
        INSERT INTO people VALUES ('Ada the first');
        CREATE FUNCTION says(t text) RETURNS text LANGUAGE plpgsql STABLE AS
            $$ BEGIN RAISE WARNING 'value %', t; RAISE LOG 'value %', t; RAISE NOTICE 'value %', t; RETURN t; END $$;";
    let name = database_of(postgres, sql).await;
    let options =
        ServerOptions::new(postgres.reader_url(&name)).with_env("LOG_LEVEL", "debug,sqlx::postgres::notice=trace");
    let server = McpServer::start(options).await.unwrap();
    let rows = Client::open(&server).await.rows("SELECT says(name) FROM people", json!([])).await;
    assert!(rows.rows.get().contains("Ada"));
    assert!(!server.logs().contains("Ada the first"), "{}", server.logs());
}
