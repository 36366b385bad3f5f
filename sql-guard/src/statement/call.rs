//! Calls of functions, wherever they stand: every function that a call could mean must be one that may run.

use std::collections::BTreeSet;

use pg_query::protobuf::{FuncCall, WindowDef};

use super::{Mode, Place, Walk, names};
use crate::catalog::Function;
use crate::columns::Restriction;
use crate::functions::{self, Verdict};
use crate::rejection::Rejection;
use crate::scope::{self, Meaning};
use crate::system::PG_CATALOG;

/// What a call by some name and with some number of arguments could mean.
pub(super) enum Calls {
    /// Functions that may all run; whether any of them is the database's own.
    Allowed { users_own: bool },
    /// At least one that may not run.
    Denied(Box<Rejection>),
    /// Nothing with so many arguments.
    OtherArguments,
    /// Nothing of that name.
    Nothing,
}

impl<'a> Walk<'a> {
    /// Judges a call of a function by its name and by how many arguments it gets.
    pub(super) fn call(&mut self, call: &'a FuncCall, place: Place) -> Result<Restriction, Rejection> {
        let FuncCall {
            funcname,
            args,
            agg_order,
            agg_filter,
            over,
            agg_within_group,
            agg_star: _,
            agg_distinct,
            func_variadic,
            funcformat: _,
            location,
        } = call;
        // An ordered-set aggregate takes its sorted arguments too.
        let arguments = args.len() + if *agg_within_group { agg_order.len() } else { 0 };
        let name = names(funcname);
        let users_own = self.function(&name, arguments, *func_variadic, place, *location)?;
        let counts = !users_own && !agg_distinct && matches!(name.as_slice(), ["count"] | [PG_CATALOG, "count"]);
        let ((), weight) = self.outside_condition(|walk| {
            walk.measured(|walk| {
                for argument in args {
                    walk.value(argument, if counts { Place::Counted } else { Place::Combined })?;
                }
                walk.expressions(agg_order)?;
                over.as_ref().map_or(Ok(()), |window| walk.window(window))
            })
        })?;
        if users_own {
            let meant = match name.as_slice() {
                [name] => self.overloads(None, name),
                [schema, name] => self.overloads(Some(schema), name),
                _ => Vec::new(),
            };
            if let Some(body) = meant.iter().filter_map(|of| of.sql.as_deref()).max_by_key(|body| body.len()) {
                self.inline_body(body, weight)?;
            }
        }
        self.condition(agg_filter.as_deref())?;
        Ok(Restriction::Free)
    }

    /// Judges a name as a function's; says whether one of the database's own may be meant.
    fn function(
        &self,
        name: &[&str],
        arguments: usize,
        variadic: bool,
        place: Place,
        location: i32,
    ) -> Result<bool, Rejection> {
        let (schema, name) = match name {
            [name] => (None, *name),
            [schema, name] => (Some(*schema), *name),
            other => return Err(functions::not_found(&other.join("."), &BTreeSet::new()).at(self.text, location)),
        };
        let built_in = schema.is_none_or(|schema| schema == PG_CATALOG);
        // A type's name is told where nothing can be turned into a regtype for it.
        if built_in
            && matches!(place, Place::Output | Place::Text)
            && functions::names_type(name, arguments)
            && self.overloads(schema, name).is_empty()
        {
            return Ok(false);
        }
        // With one argument and the name of a type, a call may mean a cast.
        let cast = match (arguments, self.mode) {
            (1, Mode::Final | Mode::Advisory) => self.cast_by_call(schema, name),
            _ => None,
        };
        let calls = self.calls(schema, name, arguments, variadic);
        let is_cast = cast.is_some();
        if let (Some(Err(rejection)), false) = (cast, matches!(calls, Calls::Denied(_))) {
            return Err(rejection.at(self.text, location));
        }
        let rejection = match calls {
            Calls::Allowed { users_own } => return Ok(users_own),
            Calls::Denied(rejection) => match scope::meaning(&self.levels, name) {
                // A word of its own since PostgreSQL 16, which calls that function; before, it is the column's name.
                Meaning::Column(_) if name == "system_user" && arguments == 0 => {
                    rejection.suggest("If the column of that name is meant, write its table or alias before it.")
                }
                _ => *rejection,
            },
            _ if is_cast || self.mode != Mode::Final => return Ok(false),
            Calls::OtherArguments => functions::wrong_arguments(name, arguments, &self.overloads(schema, name)),
            Calls::Nothing => functions::not_found(name, &self.near_functions(name)),
        };
        Err(rejection.at(self.text, location))
    }

    /// What a call could mean.
    pub(super) fn calls(&self, schema: Option<&str>, name: &str, arguments: usize, variadic: bool) -> Calls {
        if self.mode == Mode::Definition {
            return Calls::Allowed { users_own: !self.overloads(schema, name).is_empty() };
        }
        let built_in = match schema {
            None | Some(PG_CATALOG) => functions::verdict(name, arguments, variadic),
            Some(_) => Verdict::Unknown,
        };
        let allows = |name| self.access.is_some_and(|access| access.policy.allows_built_in(name));
        match built_in {
            Verdict::Denied(class) => return Calls::Denied(functions::denied(name, class).into()),
            Verdict::Metadata(class) if self.mode == Mode::Final && !allows(name) => {
                return Calls::Denied(functions::denied(name, class).into());
            }
            _ => {}
        }
        let (mut users_own, mut known) = (false, built_in != Verdict::Unknown);
        for function in self.overloads(schema, name) {
            known = true;
            let fits = variadic || arguments >= function.least && function.most.is_none_or(|most| arguments <= most);
            if !fits {
                continue;
            }
            if let Some(why) = self.access.and_then(|access| access.function_denied(function)) {
                let also_built_in = schema.is_none() && matches!(built_in, Verdict::Allowed | Verdict::Metadata(_));
                return Calls::Denied(functions::denied_user_function(function, &why, also_built_in).into());
            }
            self.runs(function);
            users_own = true;
        }
        match built_in {
            Verdict::Allowed | Verdict::Metadata(_) => Calls::Allowed { users_own },
            _ if users_own => Calls::Allowed { users_own },
            _ if known => Calls::OtherArguments,
            _ => Calls::Nothing,
        }
    }

    /// The database's own functions that a name could mean; none where nobody asks for them.
    pub(super) fn overloads(&self, schema: Option<&str>, name: &str) -> Vec<&'a Function> {
        let Some(access) = self.access.filter(|_| self.mode != Mode::Advisory) else { return Vec::new() };
        let path = access.catalog.search_path();
        let is_meant = |function: &&Function| match schema {
            Some(schema) => function.schema == schema,
            // A definition may have been written, and may run, under another search_path.
            None => self.mode == Mode::Definition || function.schema == PG_CATALOG || path.contains(&function.schema),
        };
        access.catalog.functions(name).iter().filter(is_meant).collect()
    }

    /// Whether no function of the database's own could be meant by a name.
    pub(super) fn is_built_in_alone(&self, name: &str) -> bool {
        self.overloads(None, name).is_empty()
    }

    /// Names of functions of the database's own that are called much like this one.
    fn near_functions(&self, name: &str) -> BTreeSet<String> {
        // A name that differs in its schema alone is the likeliest slip.
        let Some(access) = self.access else { return BTreeSet::new() };
        let elsewhere =
            access.catalog.functions(name).iter().filter(|function| access.function_denied(function).is_none());
        elsewhere.map(|function| format!("{}.{}", function.schema, function.name)).collect()
    }

    /// Notes that a function of the database's own may run. What came with an extension and changes nothing leaves nothing behind.
    pub(super) fn runs(&self, function: &Function) {
        if functions::leaves_traces(function) {
            self.runs_code.set(true);
        }
    }

    /// A newer PostgreSQL's grammar gives some names a meaning of their own, which to an older server are calls of ordinary
    /// functions; so a user's function of such a name must be one that may run.
    pub(super) fn keyword_call(&self, name: &str, location: i32) -> Result<(), Rejection> {
        if self.mode != Mode::Final {
            return Ok(());
        }
        for function in self.overloads(None, name) {
            if let Some(why) = self.access.and_then(|access| access.function_denied(function)) {
                return Err(functions::denied_user_function(function, &why, false).at(self.text, location));
            }
            self.runs(function);
        }
        Ok(())
    }

    pub(super) fn window(&mut self, window: &'a WindowDef) -> Result<(), Rejection> {
        let WindowDef {
            name,
            refname: _,
            partition_clause,
            order_clause,
            frame_options: _,
            start_offset,
            end_offset,
            location: _,
        } = window;
        // A name alone is that of one that stands in the WINDOW clause.
        if name.is_empty() || !(partition_clause.is_empty() && order_clause.is_empty()) {
            self.open_window()?;
        }
        for item in partition_clause.iter().chain(order_clause) {
            self.moved(|walk| walk.expression(item))?;
        }
        self.optional(start_offset.as_deref())?;
        self.optional(end_offset.as_deref())
    }
}
