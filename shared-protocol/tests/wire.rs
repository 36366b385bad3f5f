//! The wire forms, as snapshots: a change here is a change for every client.

use serde_json::{Map, Value, json};
use shared_protocol::catalog::{
    CatalogPage, Column, Constraint, ForeignKey, Function, Index, SamplesState, Table, TableKind,
};
use shared_protocol::endpoint::meta;
use shared_protocol::envelope::{RegistryPush, ToolCall, ToolDescription, ToolResult};
use shared_protocol::error::{ErrorCode, ErrorContext, ErrorDetail, Position, ToolFailure};
use shared_protocol::tool::describe_table::DescribeTableInput;
use shared_protocol::tool::execute_query::ExecuteQueryInput;
use shared_protocol::tool::explain_query::{ExplainQueryInput, PlanFormat};
use shared_protocol::tool::find_join_path::{FindJoinPathInput, JoinType};
use shared_protocol::tool::get_sample_rows::GetSampleRowsInput;
use shared_protocol::tool::list_tables::ListTablesInput;
use shared_protocol::tool::run_sql::{RunSqlInput, RunSqlOutput};

#[test]
fn a_call_of_run_sql() {
    let arguments = RunSqlInput {
        query: "SELECT id FROM users WHERE city = $1".to_owned(),
        params: vec![json!("Oslo")],
        database: Some("shop".to_owned()),
        max_rows: 100,
        timeout_ms: Some(5000),
        cursor: None,
    };
    let meta = Map::from_iter([(meta::STRUCTURED_ONLY.to_owned(), json!(true))]);
    insta::assert_json_snapshot!(ToolCall { name: "run_sql".to_owned(), arguments, meta });
}

#[test]
fn arguments_that_are_left_out_have_their_defaults() {
    let input: RunSqlInput = serde_json::from_value(json!({ "query": "SELECT 1" })).unwrap();
    assert_eq!((input.max_rows, input.params.len(), input.timeout_ms), (1000, 0, None));
    assert!(serde_json::from_value::<RunSqlInput>(json!({ "query": "SELECT 1", "maxrows": 1 })).is_err());
}

#[test]
fn what_other_tools_are_not_told_has_its_default() {
    let tables: ListTablesInput = serde_json::from_value(json!({})).unwrap();
    assert_eq!((tables.include_views, tables.limit.get(), tables.schema_name), (true, 100, None));
    let table: DescribeTableInput = serde_json::from_value(json!({ "table_name": "users" })).unwrap();
    assert!(table.include_indexes && table.include_constraints);
    let sample: GetSampleRowsInput = serde_json::from_value(json!({ "table_name": "users" })).unwrap();
    assert_eq!((sample.limit.get(), sample.randomize), (5, false));
    let query: ExecuteQueryInput = serde_json::from_value(json!({ "sql": "SELECT 1" })).unwrap();
    assert_eq!((query.limit.get(), query.params.len(), query.timeout_ms), (1000, 0, None));
    let plan: ExplainQueryInput = serde_json::from_value(json!({ "sql": "SELECT 1" })).unwrap();
    assert_eq!((plan.format, plan.analyze, plan.buffers), (PlanFormat::Text, false, false));
    let path: FindJoinPathInput = serde_json::from_value(json!({ "from_table": "a", "to_table": "b" })).unwrap();
    assert_eq!(path.max_depth.get(), 4);
    assert!(
        serde_json::from_value::<FindJoinPathInput>(json!({ "from_table": "a", "to_table": "b", "max_depth": 7 }))
            .is_err()
    );
    assert!(serde_json::from_value::<ListTablesInput>(json!({ "schema": "public" })).is_err());
    assert_eq!(serde_json::to_value(JoinType::Left).unwrap(), JoinType::Left.as_sql());
}

#[test]
fn an_answer_of_run_sql_keeps_its_digits() {
    let text = r#"{"structuredContent":{"rows":[{"a":1.10,"b":9223372036854775807}],"rowCount":1,"executionTimeMs":0.5,"columns":[{"name":"a","type":"numeric"},{"name":"b","type":"int8"}],"truncated":false},"content":[],"isError":false}"#;
    let result: ToolResult = serde_json::from_str(text).unwrap();
    let output: RunSqlOutput = serde_json::from_str(result.structured_content.unwrap().get()).unwrap();
    assert_eq!(output.rows.get(), r#"[{"a":1.10,"b":9223372036854775807}]"#);
    insta::assert_json_snapshot!(output);
}

#[test]
fn a_failure() {
    let context = ErrorContext {
        position: Some(Position { line: 1, column: 15 }),
        similar_tables: vec!["users".to_owned()],
        ..ErrorContext::default()
    };
    let error = ErrorDetail {
        code: ErrorCode::TableNotFound,
        message: "there is no table userz (line 1, column 15)".to_owned(),
        suggestion: Some("Did you mean users?".to_owned()),
        context: Some(context),
    };
    let input_received = Map::from_iter([("query".to_owned(), json!("SELECT * FROM userz"))]);
    let failure = ToolFailure { error, tool_name: "run_sql".to_owned(), input_received };
    let text = serde_json::to_string(&failure).unwrap();
    assert_eq!(serde_json::from_str::<ToolFailure>(&text).unwrap(), failure);
    insta::assert_json_snapshot!(failure);
}

#[test]
fn the_registry_push() {
    let tool = ToolDescription {
        name: "run_sql".to_owned(),
        description: Some("Run one statement".to_owned()),
        input_schema: json!({}),
    };
    let meta =
        Map::from_iter([(meta::MAX_IN_FLIGHT.to_owned(), json!(16)), (meta::SERVER.to_owned(), json!("mcp-server"))]);
    insta::assert_json_snapshot!(RegistryPush { tools: vec![tool], meta });
}

#[test]
fn a_page_of_the_catalog() {
    let name = |name: &str| name.to_owned();
    let column = Column {
        name: name("status"),
        data_type: name("order_status"),
        type_definition: None,
        is_nullable: false,
        default_value: Some(name("'new'::order_status")),
        description: Some(name("Where the order stands")),
        is_primary_key: false,
        is_unique: false,
        character_maximum_length: Some(20),
        numeric_precision: None,
        numeric_scale: None,
        enum_values: Some(vec![name("new"), name("shipped")]),
        sample_values: Some(vec![name("north")]),
        is_generated: false,
        is_identity: false,
        masked: false,
    };
    let key = ForeignKey {
        constraint_name: name("orders_user_id_fkey"),
        from_schema: name("public"),
        from_table: name("orders"),
        from_columns: vec![name("user_id")],
        to_schema: name("public"),
        to_table: name("users"),
        to_columns: vec![name("id")],
        on_update: name("NO ACTION"),
        on_delete: name("CASCADE"),
    };
    let constraint = Constraint {
        name: name("orders_user_id_fkey"),
        r#type: name("FOREIGN KEY"),
        columns: vec![name("user_id")],
        definition: Some(name("FOREIGN KEY (user_id) REFERENCES users(id)")),
        referenced_table: Some(name("public.users")),
    };
    let index = Index {
        name: name("orders_pkey"),
        columns: vec![name("id")],
        is_unique: true,
        is_primary: true,
        index_type: name("btree"),
        predicate: None,
        description: None,
        definition: name("CREATE UNIQUE INDEX orders_pkey ON public.orders USING btree (id)"),
    };
    let table = Table {
        table_name: name("orders"),
        schema_name: name("public"),
        r#type: TableKind::PartitionedTable,
        description: None,
        columns: vec![column],
        indexes: vec![index],
        constraints: vec![constraint],
        foreign_keys: vec![key],
        estimated_row_count: Some(1500),
        partition_count: Some(12),
        view_definition: None,
        partition_key: Some(name("RANGE (created_at)")),
    };
    let function = Function {
        schema: name("public"),
        name: name("twice"),
        args: name("n integer"),
        returns: name("integer"),
        allowed: false,
    };
    let page = CatalogPage {
        fingerprint: name("0f3c"),
        database: name("shop"),
        description: None,
        server_version: name("15.18"),
        timezone: name("UTC"),
        search_path: vec![name("public")],
        samples: SamplesState::Complete,
        tables: vec![table],
        functions: vec![function],
        next_cursor: Some(name("0f3c-1")),
    };
    let text = serde_json::to_string(&page).unwrap();
    assert_eq!(serde_json::from_str::<CatalogPage>(&text).unwrap(), page);
    insta::assert_json_snapshot!(serde_json::from_str::<Value>(&text).unwrap());
}
