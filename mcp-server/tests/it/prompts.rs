//! Prompts and completion: what people pick from, and what is offered while they type.

use harness::SHOP;
use serde_json::{Value, json};

use crate::client::Client;
use crate::shop_server;

async fn values(client: &mut Client, params: Value) -> Value {
    let answer = client.request("completion/complete", params).await;
    answer["result"]["completion"]["values"].clone()
}

fn of_prompt(prompt: &str, argument: &str, value: &str, known: Value) -> Value {
    json!({
        "ref": { "type": "ref/prompt", "name": prompt }, "argument": { "name": argument, "value": value },
        "context": { "arguments": known },
    })
}

#[tokio::test]
async fn each_prompt_says_which_tools_to_call() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let listed = client.request("prompts/list", json!({})).await;
    let prompts = listed["result"]["prompts"].as_array().unwrap();
    let names: Vec<&str> = prompts.iter().map(|prompt| prompt["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["explore_database", "generate_report", "find_data", "explain_slow_query"]);
    for prompt in prompts {
        let arguments: serde_json::Map<String, Value> = prompt["arguments"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|argument| argument["required"] == true)
            .map(|argument| (argument["name"].as_str().unwrap().to_owned(), json!("late orders {sql}")))
            .collect();
        let answer = client.request("prompts/get", json!({ "name": prompt["name"], "arguments": arguments })).await;
        let message = &answer["result"]["messages"][0];
        assert_eq!(message["role"], "user", "{answer}");
        let text = message["content"]["text"].as_str().unwrap();
        assert!(text.contains(&format!("the database {SHOP}")), "{text}");
        assert_eq!(text.contains("late orders {sql}"), !arguments.is_empty(), "{text}");
    }
    for (params, said) in [
        (json!({ "name": "find_dta" }), "Did you mean find_data?"),
        (json!({ "name": "find_data" }), "find_data needs \"what\""),
        (
            json!({ "name": "find_data", "arguments": { "what": "a", "database": "shap" } }),
            "there is no database \"shap\"",
        ),
        (json!({ "nam": "find_data" }), "the parameters of prompts/get are not of its form"),
    ] {
        let answer = client.request("prompts/get", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(said), "{answer}");
    }
}

#[tokio::test]
async fn names_are_completed_from_what_is_there() {
    let server = shop_server().await;
    let mut client = Client::open(&server).await;
    let found = values(&mut client, of_prompt("explore_database", "database", "DB_", json!({}))).await;
    assert_eq!(found, json!([SHOP]));
    let found = values(&mut client, of_prompt("explore_database", "schema", "pub", json!({}))).await;
    assert_eq!(found, json!(["public"]));
    let found = values(&mut client, of_prompt("generate_report", "table", "order", json!({ "database": SHOP }))).await;
    assert_eq!(found, json!(["order_items", "order_totals", "orders"]));
    let found = values(&mut client, of_prompt("generate_report", "column", "stat", json!({ "table": "orders" }))).await;
    assert_eq!(found, json!(["status"]));
    let found = values(&mut client, of_prompt("generate_report", "topic", "a", json!({}))).await;
    assert_eq!(found, json!([]));
    let template = "postgres://{database}/{schema}/{table}";
    let params = json!({
        "ref": { "type": "ref/resource", "uri": template }, "argument": { "name": "table", "value": "rder_i" },
        "context": { "arguments": { "database": SHOP, "schema": "public" } },
    });
    assert_eq!(values(&mut client, params).await, json!(["order_items"]));

    for (params, said) in [
        (of_prompt("explore", "database", "", json!({})), "there is no prompt \"explore\""),
        (of_prompt("find_data", "table", "", json!({})), "has no argument \"table\""),
        (of_prompt("generate_report", "table", "", json!({ "database": "shap" })), "there is no database \"shap\""),
        (
            json!({ "ref": { "type": "ref/resource", "uri": "x://" }, "argument": { "name": "a", "value": "" } }),
            "there is no template \"x://\"",
        ),
        (json!({ "ref": { "type": "ref/none" } }), "the parameters of completion/complete are not of its form"),
    ] {
        let answer = client.request("completion/complete", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(said), "{answer}");
    }
}
