//! A small shop's catalog, built in memory.

use chrono::NaiveDate;
use shared_protocol::catalog::{Column, Constraint, ForeignKey, Table, TableKind};

use crate::schema_context::SchemaContext;

/// Seven tables of a shop, on 2024-05-15.
pub(in super::super) fn shop() -> SchemaContext {
    let users = table("users", "Customers of the shop.")
        .key("id", "bigint")
        .column("email", "text", false)
        .column("full_name", "text", false)
        .column("phone", "text", true)
        .column("city", "text", false)
        .column("country", "character(2)", false)
        .column("is_active", "boolean", false)
        .column("password_hash", "text", false)
        .column("created_at", "timestamp with time zone", false);
    let categories = table("categories", "").key("id", "integer").column("name", "text", false);
    let products = table("products", "")
        .key("id", "bigint")
        .column("category_id", "integer", false)
        .column("name", "text", false)
        .column("price", "numeric(10,2)", false)
        .column("stock_qty", "integer", false)
        .column("weight_kg", "double precision", true)
        .column("discontinued_at", "timestamp with time zone", true)
        .column("created_at", "timestamp with time zone", false)
        .refers("category_id", "categories");
    let orders = table("orders", "One row per order.")
        .key("id", "bigint")
        .column("user_id", "bigint", false)
        .column("status", "order_status", false)
        .labels(&["pending", "paid", "shipped", "cancelled"])
        .column("total_amount", "numeric(12,2)", false)
        .column("shipping_address_id", "bigint", false)
        .column("billing_address_id", "bigint", true)
        .column("created_at", "timestamp with time zone", false)
        .refers("user_id", "users")
        .refers("shipping_address_id", "addresses")
        .refers("billing_address_id", "addresses");
    let addresses =
        table("addresses", "").key("id", "bigint").column("street", "text", false).column("district", "text", false);
    let items = table("order_items", "")
        .key("order_id", "bigint")
        .key("line_no", "integer")
        .column("product_id", "bigint", false)
        .column("quantity", "integer", false)
        .column("unit_price", "numeric(10,2)", false)
        .refers("order_id", "orders")
        .refers("product_id", "products");
    let payments = table("payments", "")
        .key("id", "bigint")
        .column("order_id", "bigint", false)
        .column("amount", "numeric(12,2)", false)
        .column("method", "text", false)
        .check("method", "CHECK ((method = ANY (ARRAY['card'::text, 'bank_transfer'::text, 'paypal'::text])))")
        .column("paid_at", "timestamp with time zone", false)
        .refers("order_id", "orders");
    let reviews = table("reviews", "")
        .key("id", "bigint")
        .column("product_id", "bigint", false)
        .column("user_id", "bigint", false)
        .column("rating", "integer", false)
        .column("body", "text", true)
        .column("created_at", "timestamp with time zone", false)
        .refers("product_id", "products")
        .refers("user_id", "users");
    let tables = [addresses, categories, items, orders, payments, products, reviews, users];
    context(tables.into_iter().map(|built| built.0).collect())
}

/// A context over `tables`, with `public` on the search path.
pub(in super::super) fn context(tables: Vec<Table>) -> SchemaContext {
    SchemaContext {
        database: "shop".into(),
        description: None,
        search_path: vec!["public".into()],
        tables,
        timezone: "UTC".into(),
        today: NaiveDate::from_ymd_opt(2024, 5, 15).expect("a date"),
    }
}

/// A table under construction.
pub(in super::super) struct Built(pub(in super::super) Table);

/// An empty table in `public`.
pub(in super::super) fn table(name: &str, comment: &str) -> Built {
    Built(Table {
        table_name: name.into(),
        schema_name: "public".into(),
        r#type: TableKind::Table,
        description: (!comment.is_empty()).then(|| comment.to_string()),
        columns: Vec::new(),
        indexes: Vec::new(),
        constraints: Vec::new(),
        foreign_keys: Vec::new(),
        estimated_row_count: None,
        partition_count: None,
        view_definition: None,
        partition_key: None,
    })
}

impl Built {
    pub(in super::super) fn column(mut self, name: &str, data_type: &str, is_nullable: bool) -> Self {
        self.0.columns.push(Column {
            name: name.into(),
            data_type: data_type.into(),
            type_definition: None,
            is_nullable,
            default_value: None,
            description: None,
            is_primary_key: false,
            is_unique: false,
            character_maximum_length: None,
            numeric_precision: None,
            numeric_scale: None,
            enum_values: None,
            sample_values: None,
            is_generated: false,
            is_identity: false,
            masked: false,
        });
        self
    }

    pub(in super::super) fn key(self, name: &str, data_type: &str) -> Self {
        let mut built = self.column(name, data_type, false);
        let column = built.0.columns.last_mut().expect("a column was just added");
        column.is_primary_key = true;
        built
    }

    /// Makes the last column an enum.
    pub(in super::super) fn labels(mut self, labels: &[&str]) -> Self {
        let column = self.0.columns.last_mut().expect("labels follow a column");
        column.enum_values = Some(labels.iter().map(ToString::to_string).collect());
        self
    }

    /// Masks a column.
    pub(in super::super) fn masked(mut self, name: &str) -> Self {
        let column = self.0.columns.iter_mut().find(|column| column.name == name);
        column.expect("the table has the column").masked = true;
        self
    }

    pub(in super::super) fn check(mut self, column: &str, definition: &str) -> Self {
        self.0.constraints.push(Constraint {
            name: format!("{}_{column}_check", self.0.table_name),
            r#type: "CHECK".into(),
            columns: vec![column.into()],
            definition: Some(definition.into()),
            referenced_table: None,
        });
        self
    }

    pub(in super::super) fn refers(mut self, column: &str, to: &str) -> Self {
        self.0.foreign_keys.push(ForeignKey {
            constraint_name: format!("{}_{column}_fkey", self.0.table_name),
            from_schema: "public".into(),
            from_table: self.0.table_name.clone(),
            from_columns: vec![column.into()],
            to_schema: "public".into(),
            to_table: to.into(),
            to_columns: vec!["id".into()],
            on_update: "NO ACTION".into(),
            on_delete: "NO ACTION".into(),
        });
        self
    }
}
