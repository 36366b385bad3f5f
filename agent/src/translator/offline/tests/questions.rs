//! Question → SQL and parameters, and the questions that get an honest no.

use serde_json::{Value, json};

use super::shop::{Built, context, shop, table};
use crate::schema_context::SchemaContext;
use crate::translator::offline::Offline;
use crate::translator::{Abstention, Candidate, Feedback, TranslateError, TranslationRequest, Translator};

fn ask(context: &SchemaContext, question: &str) -> Result<Candidate, Abstention> {
    super::super::translate(&TranslationRequest { question, context, max_rows: 100, feedback: &[] })
}

fn check(question: &str, sql: &str, params: Value) {
    let answer = ask(&shop(), question)
        .unwrap_or_else(|no| panic!("{question}: {} {:?} {:?}", no.reason, no.unexplained, no.readings));
    assert_eq!(answer.sql, sql, "{question}");
    assert_eq!(Value::from(answer.params), params, "{question}");
}

fn check_unexplained(question: &str, words: &[&str]) {
    let no = ask(&shop(), question).map(|answer| answer.sql).expect_err(question);
    assert_eq!(no.unexplained, words, "{question}: {}", no.reason);
}

#[test]
fn lists_rows() {
    check("list the categories", "SELECT id, name FROM categories", json!([]));
    check("names of users", "SELECT full_name FROM users", json!([]));
    check("show name and price of all products", "SELECT name, price FROM products", json!([]));
    check("what are the emails of the users?", "SELECT email FROM users", json!([]));
    check("users with their phone", "SELECT full_name, phone FROM users", json!([]));
    check("distinct cities of users", "SELECT DISTINCT city FROM users", json!([]));
    check("emials of users", "SELECT email FROM users", json!([]));
}

#[test]
fn leaves_secrets_out_of_lists() {
    check("users", "SELECT id, email, full_name, phone, city, country, is_active, created_at FROM users", json!([]));
    check(
        "all information about users",
        "SELECT id, email, full_name, phone, city, country, is_active, created_at FROM users",
        json!([]),
    );
}

#[test]
fn takes_the_last_and_the_first() {
    let users = "SELECT id, email, full_name, phone, city, country, is_active, created_at FROM users";
    check("show last 5 users", &format!("{users} ORDER BY created_at DESC LIMIT $1"), json!([5]));
    check("the newest five users, please", &format!("{users} ORDER BY created_at DESC LIMIT $1"), json!([5]));
    check("show me the first 3 users", &format!("{users} ORDER BY created_at LIMIT $1"), json!([3]));
    check("the latest user", &format!("{users} ORDER BY created_at DESC LIMIT $1"), json!([1]));
    check("show 2 categories", "SELECT id, name FROM categories ORDER BY id LIMIT $1", json!([2]));
    check("last 2 categories", "SELECT id, name FROM categories ORDER BY id DESC LIMIT $1", json!([2]));
}

#[test]
fn counts() {
    check("how many users are there?", "SELECT count(*) AS users_count FROM users", json!([]));
    check("total number of orders", "SELECT count(*) AS orders_count FROM orders", json!([]));
    check(
        "how many different cities do users live in",
        "SELECT count(DISTINCT city) AS city_count FROM users",
        json!([]),
    );
    check("how many customers are there", "SELECT count(*) AS users_count FROM users", json!([]));
}

#[test]
fn filters_by_value() {
    let count = "SELECT count(*) AS orders_count FROM orders WHERE";
    check("how many shipped orders", &format!("{count} status = $1"), json!(["shipped"]));
    check("how many orders are not shipped", &format!("{count} status <> $1"), json!(["shipped"]));
    check("count the orders with status Paid", &format!("{count} status = $1"), json!(["paid"]));
    check("number of pending or paid orders", &format!("{count} status IN ($1, $2)"), json!(["pending", "paid"]));
    let users = "SELECT count(*) AS users_count FROM users WHERE";
    check("how many active users", &format!("{users} is_active = $1"), json!([true]));
    check("how many users are inactive", &format!("{users} is_active = $1"), json!([false]));
    check("how many users live in Berlin", &format!("{users} city = $1"), json!(["Berlin"]));
    check("how many users are from Paris or Rome", &format!("{users} city IN ($1, $2)"), json!(["Paris", "Rome"]));
    check("how many users without a phone number", &format!("{users} phone IS NULL"), json!([]));
    check("how many users with a phone", &format!("{users} phone IS NOT NULL"), json!([]));
    check("email of the user named 'Ann Lee'", "SELECT email FROM users WHERE full_name = $1", json!(["Ann Lee"]));
    check("status of order 42", "SELECT status FROM orders WHERE id = $1", json!([42]));
    check(
        "how many payments by method bank transfer",
        "SELECT count(*) AS payments_count FROM payments WHERE method = $1",
        json!(["bank_transfer"]),
    );
}

#[test]
fn filters_by_comparison() {
    let products = "SELECT count(*) AS products_count FROM products WHERE";
    check("how many products with price over 20", &format!("{products} price > $1"), json!([20]));
    check("how many products have a price of at least 9.90", &format!("{products} price >= $1"), json!(["9.90"]));
    check("how many products are cheaper than 5", &format!("{products} price < $1"), json!([5]));
    check(
        "how many products with price between 10 and 20.5",
        &format!("{products} price BETWEEN $1 AND $2"),
        json!([10, "20.5"]),
    );
    check("how many products with weight under 1.5", &format!("{products} weight_kg < $1"), json!([1.5]));
    check(
        "how many products have stock quantity above 2.5",
        &format!("{products} stock_qty > CAST($1 AS NUMERIC)"),
        json!(["2.5"]),
    );
    check(
        "how many reviews with rating not more than 2",
        "SELECT count(*) AS reviews_count FROM reviews WHERE rating <= $1",
        json!([2]),
    );
}

#[test]
fn filters_by_time() {
    let orders = "SELECT count(*) AS orders_count FROM orders WHERE created_at";
    let both = format!("{orders} >= $1 AND created_at < $2");
    check("how many orders were placed in 2023", &both, json!(["2023-01-01", "2024-01-01"]));
    check("how many orders last month", &both, json!(["2024-04-01", "2024-05-01"]));
    check("how many orders between 2024-01-01 and 2024-01-31", &both, json!(["2024-01-01", "2024-02-01"]));
    check("how many orders before 2024-03-01", &format!("{orders} < $1"), json!(["2024-03-01"]));
    check("how many orders after May 1, 2024", &format!("{orders} >= $1"), json!(["2024-05-02"]));
    check(
        "how many users who signed up since March 2024",
        "SELECT count(*) AS users_count FROM users WHERE created_at >= $1",
        json!(["2024-03-01"]),
    );
    check(
        "how many orders of users who signed up in 2023",
        "SELECT count(*) AS orders_count FROM orders JOIN users ON orders.user_id = users.id \
         WHERE users.created_at >= $1 AND users.created_at < $2",
        json!(["2023-01-01", "2024-01-01"]),
    );
    check(
        "how many orders of inactive users in 2023",
        "SELECT count(*) AS orders_count FROM orders JOIN users ON orders.user_id = users.id \
         WHERE users.is_active = $1 AND orders.created_at >= $2 AND orders.created_at < $3",
        json!([false, "2023-01-01", "2024-01-01"]),
    );
}

#[test]
fn puts_a_time_where_the_words_put_it() {
    check(
        "how many users with orders in 2023",
        "SELECT count(*) AS users_count FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE orders.user_id = users.id \
         AND orders.created_at >= $1 AND orders.created_at < $2)",
        json!(["2023-01-01", "2024-01-01"]),
    );
    check(
        "how many products without reviews in 2023",
        "SELECT count(*) AS products_count FROM products WHERE NOT EXISTS (SELECT 1 FROM reviews \
         WHERE reviews.product_id = products.id AND reviews.created_at >= $1 AND reviews.created_at < $2)",
        json!(["2023-01-01", "2024-01-01"]),
    );
}

#[test]
fn reads_what_is_missing_and_bounds_in_either_order() {
    let users = "SELECT count(*) AS users_count FROM users WHERE";
    check("how many users whose phone is null", &format!("{users} phone IS NULL"), json!([]));
    check("how many users whose phone is not empty", &format!("{users} phone IS NOT NULL"), json!([]));
    check("how many users whose phone is 'null'", &format!("{users} phone = $1"), json!(["null"]));
    let products = "SELECT count(*) AS products_count FROM products WHERE stock_qty BETWEEN $1 AND $2";
    check("how many products with stock quantity between 20 and 10", products, json!([10, 20]));
}

#[test]
fn lists_different_values() {
    check("what statuses do orders have", "SELECT DISTINCT status FROM orders", json!([]));
    check("list countries of users", "SELECT DISTINCT country FROM users", json!([]));
}

#[test]
fn reads_events_and_places_of_shipments() {
    let suppliers = table("suppliers", "")
        .key("id", "bigint")
        .column("name", "text", false)
        .column("city", "text", false)
        .column("country", "text", false)
        .column("since", "date", false);
    let shipments = table("shipments", "")
        .key("id", "bigint")
        .column("supplier_id", "bigint", false)
        .column("carrier", "text", false)
        .column("status", "text", false)
        .labels(&["sent", "delivered"])
        .column("delivered_at", "timestamp with time zone", true)
        .column("created_at", "timestamp with time zone", false)
        .refers("supplier_id", "suppliers");
    let context = context(vec![shipments.0, suppliers.0]);
    let check = |question: &str, ending: &str, params: Value| {
        let answer = ask(&context, question).unwrap_or_else(|no| panic!("{question}: {}", no.reason));
        assert!(answer.sql.ends_with(ending), "{question}: {}", answer.sql);
        assert_eq!(Value::from(answer.params), params, "{question}");
    };
    let delivered = "WHERE status = $1 AND delivered_at >= $2 AND delivered_at < $3";
    check("shipments delivered in 2023", delivered, json!(["delivered", "2023-01-01", "2024-01-01"]));
    check("delivered shipments in 2023", delivered, json!(["delivered", "2023-01-01", "2024-01-01"]));
    check("suppliers since 2020", "WHERE since >= $1", json!(["2020-01-01"]));
    check("what carriers are there", "SELECT DISTINCT carrier FROM shipments", json!([]));
    check("SUPPLIERS FROM GERMANY", "WHERE country = $1", json!(["Germany"]));
    for question in ["shipments in Coffee and Games", "SUPPLIERS FROM BERLIN"] {
        assert!(ask(&context, question).is_err(), "{question}");
    }
}

#[test]
fn groups() {
    check("orders per status", "SELECT status, count(*) AS orders_count FROM orders GROUP BY status", json!([]));
    check(
        "number of users by country",
        "SELECT country, count(*) AS users_count FROM users GROUP BY country",
        json!([]),
    );
    check(
        "number of products by category",
        "SELECT categories.name, count(*) AS products_count FROM products JOIN categories ON products.category_id = categories.id \
         GROUP BY categories.id, categories.name",
        json!([]),
    );
    check(
        "how many reviews does each product have?",
        "SELECT products.name, count(*) AS reviews_count FROM reviews JOIN products ON reviews.product_id = products.id \
         GROUP BY products.id, products.name",
        json!([]),
    );
    check(
        "orders per country",
        "SELECT users.country, count(*) AS orders_count FROM orders JOIN users ON orders.user_id = users.id GROUP BY users.country",
        json!([]),
    );
    check(
        "number of users by country and city",
        "SELECT country, city, count(*) AS users_count FROM users GROUP BY country, city",
        json!([]),
    );
    check(
        "shipped orders per country in 2023",
        "SELECT users.country, count(*) AS orders_count FROM orders JOIN users ON orders.user_id = users.id \
         WHERE orders.status = $1 AND orders.created_at >= $2 AND orders.created_at < $3 GROUP BY users.country",
        json!(["shipped", "2023-01-01", "2024-01-01"]),
    );
}

#[test]
fn measures() {
    check("average price of products", "SELECT avg(price) AS average_price FROM products", json!([]));
    check("what is the highest price of products", "SELECT max(price) AS highest_price FROM products", json!([]));
    check(
        "minimum and maximum rating of reviews",
        "SELECT min(rating) AS lowest_rating, max(rating) AS highest_rating FROM reviews",
        json!([]),
    );
    check(
        "total amount of payments by method",
        "SELECT method, sum(amount) AS total_amount FROM payments GROUP BY method",
        json!([]),
    );
    check(
        "total amount of orders per user",
        "SELECT users.full_name, sum(orders.total_amount) AS total_amount FROM orders JOIN users ON orders.user_id = users.id \
         GROUP BY users.id, users.full_name",
        json!([]),
    );
    check(
        "average price of products in category Books",
        "SELECT avg(products.price) AS average_price FROM products JOIN categories ON products.category_id = categories.id WHERE categories.name = $1",
        json!(["Books"]),
    );
}

#[test]
fn ranks() {
    let products =
        "SELECT id, category_id, name, price, stock_qty, weight_kg, discontinued_at, created_at FROM products";
    check("top 5 products by price", &format!("{products} ORDER BY price DESC LIMIT $1"), json!([5]));
    check("the 3 most expensive products", &format!("{products} ORDER BY price DESC LIMIT $1"), json!([3]));
    check("the cheapest product", &format!("{products} ORDER BY price LIMIT $1"), json!([1]));
    check(
        "which product has the highest weight",
        &format!("{products} ORDER BY weight_kg DESC NULLS LAST LIMIT $1"),
        json!([1]),
    );
    check("name of the product with the lowest price", "SELECT name FROM products ORDER BY price LIMIT $1", json!([1]));
    check("names of products sorted by price descending", "SELECT name FROM products ORDER BY price DESC", json!([]));
    let users = "SELECT users.full_name, count(*) AS orders_count FROM orders JOIN users ON orders.user_id = users.id \
                 GROUP BY users.id, users.full_name ORDER BY count(*) DESC";
    check("users with the most orders", users, json!([]));
    check("which user has the most orders", &format!("{users} LIMIT $1"), json!([1]));
    check("top 3 users by number of orders", &format!("{users} LIMIT $1"), json!([3]));
    check(
        "which city has the most users",
        "SELECT city, count(*) AS users_count FROM users GROUP BY city ORDER BY count(*) DESC LIMIT $1",
        json!([1]),
    );
    check("what is the most expensive product", &format!("{products} ORDER BY price DESC LIMIT $1"), json!([1]));
}

#[test]
fn crosses_one_foreign_key() {
    let orders = "SELECT orders.id, orders.user_id, orders.status, orders.total_amount, orders.shipping_address_id, \
                  orders.billing_address_id, orders.created_at FROM orders JOIN users ON orders.user_id = users.id";
    check("orders of users in Berlin", &format!("{orders} WHERE users.city = $1"), json!(["Berlin"]));
    check(
        "paid orders of inactive users",
        &format!("{orders} WHERE orders.status = $1 AND users.is_active = $2"),
        json!(["paid", false]),
    );
    check(
        "how many products are in category Books",
        "SELECT count(*) AS products_count FROM products JOIN categories ON products.category_id = categories.id WHERE categories.name = $1",
        json!(["Books"]),
    );
}

#[test]
fn never_counts_a_row_twice_because_of_a_join() {
    check(
        "how many users have shipped orders",
        "SELECT count(*) AS users_count FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE orders.user_id = users.id AND orders.status = $1)",
        json!(["shipped"]),
    );
    check(
        "number of users per order status",
        "SELECT orders.status, count(DISTINCT users.id) AS users_count FROM users JOIN orders ON orders.user_id = users.id GROUP BY orders.status",
        json!([]),
    );
    check(
        "how many users have orders",
        "SELECT count(*) AS users_count FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE orders.user_id = users.id)",
        json!([]),
    );
    check(
        "how many users without orders",
        "SELECT count(*) AS users_count FROM users WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.user_id = users.id)",
        json!([]),
    );
}

#[test]
fn follows_the_foreign_key_that_the_words_name() {
    check(
        "number of orders per shipping address district",
        "SELECT addresses.district, count(*) AS orders_count FROM orders JOIN addresses ON orders.shipping_address_id = addresses.id \
         GROUP BY addresses.district",
        json!([]),
    );
}

#[test]
fn says_which_words_have_no_place() {
    check_unexplained("show me the revenue per galaxy", &["revenue", "galaxy"]);
    check_unexplained("what is the meaning of life", &["meaning", "life"]);
    check_unexplained("drop table users", &["drop", "table"]);
    check_unexplained("users who bought products", &["bought"]);
    check_unexplained("users with status shipped", &["shipped"]);
}

#[test]
fn abstains_rather_than_guess() {
    let check = |question: &str, reason: &str| {
        let no = ask(&shop(), question).map(|answer| answer.sql).expect_err(question);
        assert!(no.reason.contains(reason), "{question}: {}", no.reason);
        assert!(no.questions.len() >= 2, "{question}: {:?}", no.questions);
        for offered in &no.questions {
            assert!(ask(&shop(), offered).is_ok(), "{question} offers {offered}");
        }
    };
    check("total amount of orders", "one figure or for the column");
    check("orders per district", "more than one way");
    check("total payments", "how many payments there are, or for the sum of their amount");
    check("last name of users", "'last name'");
    check("last 0 users", "from 1 to");
    check("users with the most orders sorted by city", "order of their number");
    check("top 5 products", "'top' needs an order");
    check("products by name", "order or for groups");
    check("show users and orders", "not clear");
    check("without reviews", "");
    check("users with", "");
    check("distinct cities of users sorted by country", "different values");
    check("orders with status lost", "one of pending, paid, shipped, cancelled");
    check("users in Germany", "country can't be 'Germany'");
    check("显示最近的5个用户", "Chinese");
    check("???", "nothing in the question");
}

#[test]
fn names_both_readings() {
    let no = ask(&shop(), "orders per district").map(|answer| answer.sql).expect_err("two keys lead to addresses");
    assert_eq!(
        no.readings,
        [
            "number of orders per addresses.district (through shipping_address_id)",
            "number of orders per addresses.district (through billing_address_id)",
        ]
    );
}

#[test]
fn tells_how_it_read_the_question() {
    let check = |question: &str, reading: &str| {
        let answer = ask(&shop(), question).unwrap_or_else(|no| panic!("{question}: {}", no.reason));
        assert_eq!(answer.reading.as_deref(), Some(reading), "{question}");
    };
    check("show last 5 users", "users, newest first by created_at, 5 rows");
    check("number of orders per status", "number of orders per status");
    check("how many users live in Berlin", "number of users where city is Berlin");
    check("top 3 products by price", "products, highest price first, 3 rows");
    check("how many orders last month", "number of orders where created_at is from 2024-04-01 to 2024-04-30");
}

#[test]
fn says_what_it_took_for_granted() {
    let answer = ask(&shop(), "how many users signed up this month in Berlin").expect("every word has a place");
    assert_eq!(
        answer.assumptions,
        ["the time is that of created_at", "today is 2024-05-15 in UTC", "'Berlin' read as city"]
    );
}

#[test]
fn qualifies_tables_off_the_search_path_and_joins_composite_keys() {
    let mut parcels = table("Parcels", "").key("depot", "text").key("no", "integer").column("order", "text", false);
    parcels.0.schema_name = "ship".into();
    let mut scans =
        table("scans", "").key("id", "bigint").column("depot", "text", false).column("no", "integer", false);
    scans.0.schema_name = "ship".into();
    let Built(mut scans) = scans.refers("depot", "Parcels");
    let key = &mut scans.foreign_keys[0];
    (key.from_schema, key.to_schema) = ("ship".into(), "ship".into());
    key.from_columns = vec!["depot".into(), "no".into()];
    key.to_columns = key.from_columns.clone();
    let context = context(vec![parcels.0, scans]);
    let answer = ask(&context, "how many scans per parcel").expect("one key leads there");
    assert_eq!(
        answer.sql,
        "SELECT ship.\"Parcels\".depot, ship.\"Parcels\".no, count(*) AS scans_count FROM ship.scans JOIN ship.\"Parcels\" \
         ON ship.scans.depot = ship.\"Parcels\".depot AND ship.scans.no = ship.\"Parcels\".no \
         GROUP BY ship.\"Parcels\".depot, ship.\"Parcels\".no"
    );
}

#[test]
fn gives_the_same_answer_every_time() {
    let show = |question: &str| match ask(&shop(), question) {
        Ok(answer) => format!("{} {:?} {:?} {:?}", answer.sql, answer.params, answer.assumptions, answer.plan),
        Err(no) => format!("{no:?}"),
    };
    for question in
        ["orders per country", "orders per district", "top 3 users by number of orders", "nothing here fits"]
    {
        let first = show(question);
        for _ in 0..20 {
            assert_eq!(show(question), first, "{question}");
        }
    }
}

#[test]
fn gives_way_after_a_failure() {
    let feedback = [Feedback { sql: "SELECT 1".into(), problem: "column x does not exist".into() }];
    let context = shop();
    let request =
        TranslationRequest { question: "how many users", context: &context, max_rows: 100, feedback: &feedback };
    let no = super::super::translate(&request).map(|answer| answer.sql).expect_err("it can't do better");
    assert!(no.reason.contains("column x does not exist"), "{}", no.reason);
}

#[tokio::test]
async fn answers_as_a_translator() {
    let context = shop();
    let request = |question| TranslationRequest { question, context: &context, max_rows: 100, feedback: &[] };
    let offline = Offline::new();
    assert_eq!(offline.label(), "offline");
    assert!(offline.translate(&request("how many users")).await.is_ok());
    assert!(matches!(offline.translate(&request("how many unicorns")).await, Err(TranslateError::Abstained(_))));
}

/// Words that meet in questions, in every order: whatever comes out, reading them must come to an end.
#[test]
fn survives_any_mix_of_words() {
    const WORDS: &[&str] = &[
        "show",
        "how many",
        "number of",
        "average",
        "total",
        "highest",
        "most",
        "cheapest",
        "last",
        "top",
        "5",
        "2023",
        "per",
        "by",
        "sorted by",
        "sort",
        "descending",
        "more than",
        "older than",
        "between",
        "and",
        "or",
        "not",
        "without",
        "with",
        "a",
        "in",
        "of",
        "named",
        "created",
        "all information",
        "users",
        "orders",
        "products",
        "category",
        "price",
        "name",
        "status",
        "shipped",
        "active",
        "city",
        "rating",
        "Berlin",
        "'Books'",
        "last month",
        "2024-02-03",
        ",",
        ".",
        "unicorns",
        "distinct",
    ];
    let context = shop();
    // A linear congruential generator: the same questions on every run.
    let mut state: u64 = 42;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits fit") % bound
    };
    let mut answered = 0;
    for _ in 0..600 {
        let length = 1 + next(8);
        let words: Vec<&str> = (0..length).map(|_| WORDS[next(WORDS.len())]).collect();
        if let Ok(answer) = ask(&context, &words.join(" ")) {
            answered += 1;
            let placeholders = answer.sql.matches('$').count();
            assert_eq!(placeholders, answer.params.len(), "{words:?}: {}", answer.sql);
        }
    }
    assert!(answered > 5, "{answered} of the mixes are questions");
}

/// Users and their orders, as somebody sees them who may not know what users are called, where they live and what was paid.
fn masked() -> SchemaContext {
    let users = table("users", "")
        .key("id", "bigint")
        .column("full_name", "text", false)
        .column("city", "text", true)
        .column("is_active", "boolean", false)
        .column("created_at", "timestamp with time zone", false)
        .masked("full_name")
        .masked("city")
        .masked("is_active");
    let orders = table("orders", "")
        .key("id", "bigint")
        .column("user_id", "bigint", false)
        .column("amount", "numeric(10,2)", false)
        .column("created_at", "timestamp with time zone", false)
        .refers("user_id", "users")
        .masked("amount")
        .masked("created_at");
    context(vec![users.0, orders.0])
}

#[test]
fn masked_columns_are_shown_and_nothing_else() {
    let check = |question: &str, sql: &str| {
        let answer = ask(&masked(), question).unwrap_or_else(|no| panic!("{question}: {}", no.reason));
        assert_eq!(answer.sql, sql, "{question}");
    };
    check("names of users", "SELECT full_name FROM users");
    check("cities of users", "SELECT city FROM users");
    check("how many users", "SELECT count(*) AS users_count FROM users");
    check("show orders", "SELECT id, user_id, amount, created_at FROM orders");
    let last = "SELECT id, full_name, city, is_active, created_at FROM users ORDER BY created_at DESC LIMIT $1";
    check("show last 5 users", last);
    let counted = "SELECT users.id, count(*) AS orders_count FROM orders JOIN users ON orders.user_id = users.id GROUP BY users.id";
    check("number of orders per user", counted);
}

#[test]
fn what_needs_the_values_of_a_masked_column_is_not_answered() {
    let check = |question: &str, column: &str, need: &str| {
        let no = ask(&masked(), question).map(|answer| answer.sql).expect_err(question);
        let expected =
            format!("{column} is masked: its values are shown as *** only, and the question asks {need} them");
        assert_eq!(no.reason, expected, "{question}");
        assert!(no.questions.iter().all(|offered| ask(&masked(), offered).is_ok()), "{:?}", no.questions);
    };
    check("how many users live in Berlin", "users.city", "for a condition on");
    check("how many users without a city", "users.city", "for a condition on");
    check("how many active users", "users.is_active", "for a condition on");
    check("orders with amount over 20", "orders.amount", "for a condition on");
    check("orders of users from Berlin", "users.city", "for a condition on");
    check("orders in 2024", "orders.created_at", "for a condition on");
    check("distinct cities of users", "users.city", "for the different ones among");
    check("how many different cities do users live in", "users.city", "for the number of different ones among");
    check("number of users per city", "users.city", "for groups by");
    check("users sorted by city", "users.city", "for an order by");
    check("last 5 orders", "orders.created_at", "for an order by");
    check("the 3 orders with the highest amount", "orders.amount", "for an order by");
    check("average amount of orders", "orders.amount", "for a figure of");
    check("total amount of orders per user", "orders.amount", "for a figure of");
    check("lowest amount of orders", "orders.amount", "for a figure of");
}

#[test]
fn masked_keys_join_nothing() {
    let users = table("users", "").key("id", "bigint").column("city", "text", false);
    let orders = table("orders", "").key("id", "bigint").column("user_id", "bigint", false).refers("user_id", "users");
    let context = context(vec![users.0, orders.masked("user_id").0]);
    for question in ["number of orders per user", "users without orders", "users with the most orders"] {
        let no = ask(&context, question).map(|answer| answer.sql).expect_err(question);
        assert!(no.reason.contains("orders.user_id is masked") && no.reason.contains("a join along"), "{}", no.reason);
    }
}
