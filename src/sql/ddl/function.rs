//! CREATE, ALTER, DROP and COMMENT ON FUNCTION.
//!
//! A function is stored as it was written: names in its body mean what they mean when it is called. At its creation the
//! body is planned once, so that what is wrong with it is said at once, unless check_function_bodies is off.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::DataType;

use crate::catalog::{Catalog, Edit, Function, Object, Oid, Parallel, Relation, Returns, Volatility};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::TEMPORARY_ALIAS;
use crate::sql::domains;
use crate::sql::function_statements::{
    AlterFunction, CreateFunction, DropFunction, FunctionAction, FunctionName, FunctionOptions, NamedType,
    ReturnsClause,
};
use crate::sql::function_words::missing_type;
use crate::sql::response::{Response, Severity};
use crate::sql::routines;
use crate::sql::session::{Session, done};
use crate::sql::settings::id;
use crate::sql::type_names;
use crate::sql::words::object_name;
use crate::types::Type;
use crate::types::polymorphic::polymorphic_of;

const INVALID_FUNCTION_DEFINITION: SqlState = SqlState("42P13");

impl Session {
    pub(super) async fn create_function(&mut self, create: &CreateFunction) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        if create.name.schema.as_deref() == Some(TEMPORARY_ALIAS) {
            return Err(Error::unsupported("a temporary function"));
        }
        let schema = self.shared.creation_schema(&catalog, &create.name)?;
        refuse_equal_names(create)?;
        let mut function = Function {
            oid: 0,
            schema,
            name: create.name.name.clone(),
            arguments: create.arguments.clone(),
            returns: self.returns_of(&catalog, &create.returns)?,
            one_row: false,
            out: matches!(create.returns, ReturnsClause::Out { .. }),
            body: create.body.clone(),
            volatility: Volatility::Volatile,
            strict: false,
            security_definer: false,
            leakproof: false,
            parallel: Parallel::Unsafe,
            cost: None,
            rows: None,
            search_path: None,
            comment: None,
        };
        function.one_row = match &create.returns {
            ReturnsClause::Out { set, .. } | ReturnsClause::Record { set } => !set,
            ReturnsClause::Named { set, .. } => !set && matches!(function.returns, Returns::SetOfRows(_)),
            ReturnsClause::Table(_) => false,
        };
        apply(&create.options, &mut function)?;
        for NamedType { place, data_type } in &create.named {
            function.arguments[*place].ty = self.type_in_signature(&catalog, data_type)?;
        }
        if let Returns::Table(columns) = &mut function.returns {
            for NamedType { place, data_type } in &create.named_out {
                let ty = self.type_in_signature(&catalog, data_type)?;
                if let Type::Composite(_) = &ty {
                    return Err(Error::unsupported("a column of a composite type that a function returns"));
                }
                columns[*place].ty = ty;
            }
            for column in columns {
                type_names::check_created(&column.ty, &catalog)?;
            }
        }
        for ty in function.argument_types() {
            type_names::check_created(&ty, &catalog)?;
        }
        let same = |known: &&Arc<Function>| known.argument_types() == function.argument_types();
        let old = catalog.functions_named(&function.schema, &function.name).find(same).cloned();
        match old {
            Some(old) if create.replace => {
                check_replacement(&old, &function)?;
                (function.oid, function.comment) = (old.oid, old.comment.clone());
            }
            Some(_) => {
                let message =
                    format!("function \"{}\" already exists with same argument types", function.name);
                return Err(Error::new(SqlState("42723"), message));
            }
            None => function.oid = self.new_oid()?,
        }
        check_determined(&function)?;
        self.check_function(&catalog, &function)?;
        self.edit(vec![Edit::Put(Object::Function(function))]).await?;
        Ok(done("CREATE FUNCTION"))
    }

    fn check_function(&self, catalog: &Arc<Catalog>, function: &Function) -> Result<()> {
        let schemas = self.shared.schemas(catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, catalog, &schemas);
        for argument in &function.arguments {
            if let Some(default) = &argument.default {
                let expression = crate::sql::dialect::parse_expression(default)?;
                let items = crate::sql::expressions::items([expression]);
                let target = match &argument.ty {
                    Type::Polymorphic(_) => &[],
                    ty => std::slice::from_ref(ty),
                };
                crate::sql::expressions::compile(&context, &[], &items, target)?;
            }
        }
        if !self.shared.settings.lock().bool(id::CHECK_FUNCTION_BODIES) {
            return Ok(());
        }
        match function.is_polymorphic() {
            // What its types are is known when it is called.
            true => Ok(()),
            false => routines::check(function, &context),
        }
    }

    /// A type that a user made, as a parameter's.
    fn type_in_signature(&self, catalog: &Catalog, data_type: &DataType) -> Result<Type> {
        let schemas = self.shared.schemas(catalog);
        if domains::meant(data_type, catalog, &schemas).is_some() {
            return Err(Error::unsupported("a domain in a function's signature"));
        }
        match (type_names::resolve_in(data_type, catalog, &schemas), data_type) {
            (Err(error), DataType::Custom(name, _)) if error.state() == SqlState::UNDEFINED_OBJECT => {
                match self.shared.relation(catalog, &object_name(name)) {
                    Some(_) => Err(Error::unsupported("a function of the rows of a table")),
                    None => Err(missing_type(data_type)),
                }
            }
            (resolved, _) => resolved.map(|ty| ty.bare()),
        }
    }

    fn returns_of(&self, catalog: &Catalog, clause: &ReturnsClause) -> Result<Returns> {
        let (data_type, set) = match clause {
            ReturnsClause::Table(columns) | ReturnsClause::Out { columns, .. } => {
                return Ok(Returns::Table(columns.clone()));
            }
            ReturnsClause::Record { .. } => return Ok(Returns::Record),
            ReturnsClause::Named { data_type, set } => (data_type, *set),
        };
        let schemas = self.shared.schemas(catalog);
        if domains::meant(data_type, catalog, &schemas).is_some() {
            return Err(Error::unsupported("a function that returns a domain"));
        }
        let resolved = type_names::resolve_in(data_type, catalog, &schemas);
        let created = |ty: Type| type_names::check_created(&ty, catalog).map(|()| ty);
        match (resolved.and_then(created), data_type) {
            (Ok(Type::Composite(_)), _) => {
                Err(Error::unsupported("a function that returns a composite type"))
            }
            (Ok(Type::Void), _) if set => Err(Error::unsupported("a function that returns a set of void")),
            (Ok(ty), _) if set => Ok(Returns::SetOf(ty.bare())),
            (Ok(ty), _) => Ok(Returns::Scalar(ty.bare())),
            (Err(error), DataType::Custom(name, _)) if error.state() == SqlState::UNDEFINED_OBJECT => {
                match self.shared.relation(catalog, &object_name(name)) {
                    Some(Relation::Table(table)) => Ok(Returns::SetOfRows(table.oid)),
                    Some(_) => Err(Error::unsupported("a function that returns rows of what is no table")),
                    None => Err(error),
                }
            }
            (Err(error), _) => Err(error),
        }
    }

    pub(super) async fn alter_function(&mut self, alter: &AlterFunction) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        let old = self.function(&catalog, &alter.function)?;
        let mut function = (*old).clone();
        let mut tag = "ALTER FUNCTION";
        match &alter.action {
            FunctionAction::Rename(name) => function.name.clone_from(name),
            FunctionAction::SetSchema(schema) => {
                if catalog.schema(schema).is_none() {
                    let message = format!("schema \"{schema}\" does not exist");
                    return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
                }
                function.schema.clone_from(schema);
            }
            FunctionAction::OwnerTo(owner) => self.check_owner(owner)?,
            FunctionAction::Options(options) => apply(options, &mut function)?,
            FunctionAction::Comment(text) => {
                function.comment = text.clone().filter(|text| !text.is_empty());
                tag = "COMMENT";
            }
        }
        let moves = function.name != old.name || function.schema != old.schema;
        if moves && catalog.stored_queries().any(|(_, query)| query.uses(old.oid, None)) {
            return Err(Error::unsupported("moving or renaming a function that a view calls"));
        }
        if function != *old {
            self.edit(vec![Edit::Put(Object::Function(function))]).await?;
        }
        Ok(done(tag))
    }

    pub(super) async fn drop_functions(&mut self, drop: &DropFunction) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        let mut going: Vec<Oid> = Vec::new();
        for name in &drop.functions {
            match self.function(&catalog, name) {
                Ok(function) => going.push(function.oid),
                Err(error) if drop.if_exists && error.state() == SqlState::UNDEFINED_FUNCTION => {
                    let types: Vec<String> = name.types.iter().flatten().map(|ty| ty.to_string()).collect();
                    let message =
                        format!("function {}({}) does not exist, skipping", name.name, types.join(","));
                    self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
                }
                Err(error) => return Err(error),
            }
        }
        self.refuse_called(&catalog, &going, drop.cascade)?;
        self.drop_readers(&going, None, drop.cascade).await?;
        self.edit(going.into_iter().map(Edit::Delete).collect()).await?;
        Ok(done("DROP FUNCTION"))
    }

    /// Defaults and checks that call a function keep it.
    fn refuse_called(&self, catalog: &Catalog, going: &[Oid], cascade: bool) -> Result<()> {
        let schemas = self.shared.schemas(catalog);
        for table in catalog.tables() {
            for (what, sql) in table.stored_expressions() {
                let called = routines::called_in(sql, catalog, &schemas)?;
                let Some(function) = called.iter().find(|function| going.contains(&function.oid)) else {
                    continue;
                };
                if cascade {
                    return Err(Error::unsupported(
                        "DROP FUNCTION CASCADE of what a default or a check calls",
                    ));
                }
                let shown = match going {
                    [_] => format!("function {}", function.signature()),
                    _ => "desired object(s)".to_owned(),
                };
                let them = if going.len() == 1 { "it" } else { "them" };
                let message = format!("cannot drop {shown} because other objects depend on {them}");
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .detail(format!("{what} depends on function {}", function.signature()))
                    .hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
        }
        Ok(())
    }

    /// The function of a name and argument types; 42883 when there is none, 42725 when the name is not enough.
    fn function(&self, catalog: &Catalog, name: &FunctionName) -> Result<Arc<Function>> {
        let schemas = match &name.name.schema {
            Some(schema) => vec![schema.clone()],
            None => self.shared.schemas(catalog),
        };
        let named = schemas.iter().flat_map(|schema| catalog.functions_named(schema, &name.name.name));
        let mut types = name.types.clone();
        for NamedType { place, data_type } in &name.named {
            if let Some(types) = &mut types {
                types[*place] = self.type_in_signature(catalog, data_type)?;
            }
        }
        let fits = |function: &&Arc<Function>| {
            types.as_ref().is_none_or(|types| *types == function.argument_types())
        };
        let found: Vec<&Arc<Function>> = named.filter(fits).collect();
        match (found.as_slice(), &types) {
            ([], Some(types)) => {
                let types: Vec<String> = types.iter().map(|ty| ty.to_string()).collect();
                let message = format!("function {}({}) does not exist", name.name, types.join(", "));
                Err(Error::new(SqlState::UNDEFINED_FUNCTION, message))
            }
            ([], None) => {
                let message = format!("could not find a function named \"{}\"", name.name);
                Err(Error::new(SqlState::UNDEFINED_FUNCTION, message))
            }
            ([one], _) | ([one, ..], Some(_)) => Ok(Arc::clone(one)),
            _ => Err(Error::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("function name \"{}\" is not unique", name.name),
            )
            .hint("Specify the argument list to select the function unambiguously.")),
        }
    }
}

/// 42P13 for a result that is whatever a call says, if no argument says it.
fn check_determined(function: &Function) -> Result<()> {
    let returned: Vec<&Type> = match &function.returns {
        Returns::Scalar(ty) | Returns::SetOf(ty) => vec![ty],
        Returns::Table(columns) => columns.iter().map(|column| &column.ty).collect(),
        Returns::SetOfRows(_) | Returns::Record => Vec::new(),
    };
    let parameters = function.argument_types();
    let why = returned.into_iter().filter_map(polymorphic_of).find_map(|of| of.undetermined(&parameters));
    match why {
        None => Ok(()),
        Some(detail) => {
            let message = "cannot determine result data type";
            Err(Error::new(INVALID_FUNCTION_DEFINITION, message).detail(detail))
        }
    }
}

fn refuse_equal_names(create: &CreateFunction) -> Result<()> {
    let arguments = create.arguments.iter().filter_map(|argument| argument.name.as_ref());
    let columns: &[crate::catalog::ViewColumn] = match &create.returns {
        ReturnsClause::Table(columns) => columns,
        // An INOUT parameter has its name twice.
        ReturnsClause::Out { .. } | ReturnsClause::Named { .. } | ReturnsClause::Record { .. } => &[],
    };
    let mut seen = std::collections::HashSet::new();
    let mut all = arguments.chain(columns.iter().map(|column| &column.name));
    match all.find(|name| !seen.insert((*name).clone())) {
        None => Ok(()),
        Some(name) => {
            let message = format!("parameter name \"{name}\" used more than once");
            Err(Error::new(INVALID_FUNCTION_DEFINITION, message))
        }
    }
}

fn apply(options: &FunctionOptions, function: &mut Function) -> Result<()> {
    function.volatility = options.volatility.unwrap_or(function.volatility);
    function.strict = options.strict.unwrap_or(function.strict);
    function.security_definer = options.security_definer.unwrap_or(function.security_definer);
    function.leakproof = options.leakproof.unwrap_or(function.leakproof);
    function.parallel = options.parallel.unwrap_or(function.parallel);
    function.cost = options.cost.or(function.cost);
    function.rows = options.rows.or(function.rows);
    if let Some(path) = &options.search_path {
        function.search_path.clone_from(path);
    }
    if function.rows.is_some() && !function.returns_set() {
        let message = "ROWS is not applicable when function does not return a set";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    Ok(())
}

/// What CREATE OR REPLACE may not change.
fn check_replacement(old: &Function, new: &Function) -> Result<()> {
    let drop_first = format!("Use DROP FUNCTION {} first.", old.signature());
    if old.returns != new.returns || old.one_row != new.one_row || old.out != new.out {
        let message = "cannot change return type of existing function";
        return Err(Error::new(INVALID_FUNCTION_DEFINITION, message).hint(drop_first));
    }
    for (old, new) in old.arguments.iter().zip(&new.arguments) {
        if let Some(name) = &old.name
            && old.name != new.name
        {
            let message = format!("cannot change name of input parameter \"{name}\"");
            return Err(Error::new(INVALID_FUNCTION_DEFINITION, message).hint(drop_first));
        }
        if old.default.is_some() && new.default.is_none() {
            let message = "cannot remove parameter defaults from existing function";
            return Err(Error::new(INVALID_FUNCTION_DEFINITION, message).hint(drop_first));
        }
    }
    Ok(())
}
