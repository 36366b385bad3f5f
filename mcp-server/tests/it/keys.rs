//! Wrong keys are answered later and later, by the address that they come from; right ones at once.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use harness::McpServer;
use tokio_tungstenite::tungstenite::Error;

use crate::client::{Client, handshake};
use crate::shop_server;

const WRONG: &str = "a-wrong-key-of-22-or-more-characters";

/// Status of `/metrics` for a wrong key, forwarded for an address or not.
pub(crate) async fn metrics_with_wrong_key(server: &McpServer, forwarded_for: Option<String>) -> u16 {
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let request = client.get(server.http_url("/metrics")).header("x-api-key", WRONG).header("connection", "close");
    let request = match forwarded_for {
        Some(address) => request.header("x-forwarded-for", address),
        None => request,
    };
    request.send().await.unwrap().status().as_u16()
}

/// Status of a handshake with a wrong key.
async fn shake_with_wrong_key(server: &McpServer) -> u16 {
    match handshake(&server.ws_url(), &[("x-api-key", WRONG)]).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn wrong_keys_are_answered_later_and_later_and_right_ones_at_once() {
    let server = shop_server().await;
    let begin = Instant::now();
    for _ in 0..6 {
        assert_eq!(shake_with_wrong_key(&server).await, 401);
    }
    // The fourth waits a quarter of a second, the fifth half, the sixth a whole one.
    assert!(begin.elapsed() >= Duration::from_millis(1750), "{:?}", begin.elapsed());

    // From the same address, while another wrong key waits for its two seconds:
    let wrong = shake_with_wrong_key(&server);
    let right = async {
        Client::open(&server).await;
    };
    tokio::select! {
        biased;
        status = wrong => panic!("a right key had to wait for a wrong one, which was answered {status}"),
        () = right => {}
    }
}

#[tokio::test]
async fn only_so_many_wrong_keys_keep_a_socket_open() {
    let server = shop_server().await;
    let attempts = stream::iter(0..200).map(|_| metrics_with_wrong_key(&server, None)).buffer_unordered(200);
    // Those that are answered at once come first; the others are not waited for.
    let first: Vec<u16> = attempts.take(120).collect().await;
    let at_once = first.iter().filter(|status| **status == 429).count();
    assert!(at_once >= 100, "{first:?}");
    Client::open(&server).await;
}
