//! What a domain asks of a value: conditions over VALUE, which stands for it.
//!
//! A cell of a column of the domain is asked where rows are verified (`dml/rows.rs`), a cast where it is read:
//!
//! ```text
//!   x::positive    ->    check_domain(CAST (x AS int4), 'public', 'positive', 'positive_check', CAST (x AS int4) > 0)
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, CastKind, DataType, Expr, Ident, Visit, Visitor, VisitorMut};

use crate::catalog::{Catalog, Domain};
use crate::error::{Error, Result};
use crate::functions::domains::{CHECK_DOMAIN, NOT_NULL};
use crate::sql::dialect;
use crate::sql::known::Known;
use crate::sql::rewrite::function_call;
use crate::sql::statement::Name;
use crate::sql::type_names;
use crate::sql::visit;
use crate::sql::volatile;
use crate::sql::words::object_name;

/// The conditions of a domain on `value`, by name, in the order in which they are asked; NULL passes each of them.
pub fn conditions(domain: &Domain, value: &Expr) -> Result<Vec<(String, Expr)>> {
    let checks = domain.checks.iter().map(|check| {
        let mut condition = dialect::parse_expression(&check.sql)?;
        let _ = visit::walk_mut(&mut condition, &mut Value(value));
        Ok((check.name.clone(), condition))
    });
    checks.collect()
}

/// The domain of a name.
pub fn by_name<'a>(name: &Name, catalog: &'a Catalog, search_path: &[String]) -> Option<&'a Arc<Domain>> {
    match &name.schema {
        Some(schema) => catalog.domain_named(schema, &name.name),
        None => search_path.iter().find_map(|schema| catalog.domain_named(schema, &name.name)),
    }
}

/// The domain that a type's name means.
pub fn meant<'a>(
    data_type: &DataType,
    catalog: &'a Catalog,
    search_path: &[String],
) -> Option<&'a Arc<Domain>> {
    by_name(&name_of(data_type)?, catalog, search_path)
}

/// The name of a type that is not built in. Some are types of other databases, which sqlparser has words for: tinyint.
pub fn name_of(data_type: &DataType) -> Option<Name> {
    match data_type {
        DataType::Custom(name, modifiers) => modifiers.is_empty().then(|| object_name(name)),
        DataType::Array(_) => None,
        other => {
            let text = other.to_string().to_lowercase();
            let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let is_ours = type_names::resolve(other).is_ok();
            (is_name && !is_ours).then_some(Name { schema: None, name: text, position: 0 })
        }
    }
}

/// Whether an expression or a query casts to a type that is meant.
pub fn is_cast_to(tree: &impl Visit, is_meant: &dyn Fn(&DataType) -> bool) -> bool {
    struct Casts<'a>(&'a dyn Fn(&DataType) -> bool);
    impl Visitor for Casts<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Cast { data_type, .. } if (self.0)(data_type) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    visit::walk(tree, &mut Casts(is_meant)).is_break()
}

/// A cast to a domain as a cast to its base type that is asked.
pub fn expand(expr: &mut Expr, known: &Known) -> Result<()> {
    let Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, data_type, .. } = &*expr else {
        return Ok(());
    };
    let Some(domain) = known.domain(data_type) else { return Ok(()) };
    // The planner reads the domain's name as its base type.
    let value = expr.clone();
    if !domain.not_null && domain.checks.is_empty() {
        return Ok(());
    }
    if volatile::is_called(&value) {
        return Err(Error::unsupported("a cast of a volatile function's answer to a domain with conditions"));
    }
    let text = |text: &str| Expr::Value(ast::Value::SingleQuotedString(text.to_owned()).into());
    let mut arguments = vec![value.clone(), text(&domain.schema), text(&domain.name)];
    if domain.not_null {
        arguments.extend([text(NOT_NULL), Expr::IsNotNull(Box::new(value.clone()))]);
    }
    for check in &domain.checks {
        // As it is planned, before the value is in it, which is that already.
        let mut condition = known.condition(&check.sql)?;
        let _ = visit::walk_mut(&mut condition, &mut Value(&value));
        arguments.extend([text(&check.name), Expr::Nested(Box::new(condition))]);
    }
    *expr = function_call(CHECK_DOMAIN, arguments);
    Ok(())
}

/// Puts an expression in the place of VALUE.
struct Value<'a>(&'a Expr);

impl VisitorMut for Value<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_value(expr) {
            *expr = self.0.clone();
        }
        ControlFlow::Continue(())
    }
}

/// `VALUE`, which no quotes make a column's name.
fn is_value(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(Ident { value, quote_style: None, .. }) if value.eq_ignore_ascii_case("value"))
}
