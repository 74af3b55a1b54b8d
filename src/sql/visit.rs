//! Walks over syntax trees, compiled once.
//!
//! sqlparser's `Visit` is generic over its visitor, and each visitor that a walk is made with is another copy of the
//! walk over all some 300 kinds of node: about 600 kB of machine code and several seconds of compilation. Here is
//! one visitor that hands every call on to whichever it holds, so that there are two copies, one that reads and one
//! that changes.
//!
//! ```text
//! expressions(tree, closure) ─▶ Expressions ─┐
//! relations(tree, closure) ───▶ Relations ───┼─▶ walk ─▶ HandOn(&mut dyn Visitor) ─▶ tree.visit
//!                            a Visitor ──────┘
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut, Visitor,
    VisitorMut,
};

/// Visits all of `tree` until `visitor` breaks.
pub fn walk<B>(tree: &(impl Visit + ?Sized), visitor: &mut dyn Visitor<Break = B>) -> ControlFlow<B> {
    tree.visit(&mut HandOn(visitor))
}

/// Visits all of `tree` until `visitor` breaks; the visitor may change what it is given.
pub fn walk_mut<B>(
    tree: &mut (impl VisitMut + ?Sized),
    visitor: &mut dyn VisitorMut<Break = B>,
) -> ControlFlow<B> {
    tree.visit(&mut HandOnMut(visitor))
}

/// Looks at each expression of `tree`, an outer one before those in it, until one breaks.
pub fn expressions<B>(
    tree: &(impl Visit + ?Sized),
    look: impl FnMut(&Expr) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut visitor = Expressions { look, found: None };
    let _ = walk(tree, &mut visitor);
    break_with(visitor.found)
}

/// Changes each expression of `tree`, an outer one after those in it, until one breaks.
pub fn expressions_mut<B>(
    tree: &mut (impl VisitMut + ?Sized),
    change: impl FnMut(&mut Expr) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut visitor = Expressions { look: change, found: None };
    let _ = walk_mut(tree, &mut visitor);
    break_with(visitor.found)
}

/// Looks at each expression of `tree` outside of its queries, whose names are their own, until one breaks.
pub fn own_expressions<B>(
    tree: &(impl Visit + ?Sized),
    look: impl FnMut(&Expr) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut visitor = OwnExpressions { look, queries: 0, found: None };
    let _ = walk(tree, &mut visitor);
    break_with(visitor.found)
}

/// Changes each expression of `tree` outside of its queries, an outer one after those in it, until one breaks.
pub fn own_expressions_mut<B>(
    tree: &mut (impl VisitMut + ?Sized),
    change: impl FnMut(&mut Expr) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut visitor = OwnExpressions { look: change, queries: 0, found: None };
    let _ = walk_mut(tree, &mut visitor);
    break_with(visitor.found)
}

/// Looks at each relation's name in `tree` until one breaks.
pub fn relations<B>(
    tree: &(impl Visit + ?Sized),
    look: impl FnMut(&ObjectName) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut visitor = Relations { look, found: None };
    let _ = walk(tree, &mut visitor);
    break_with(visitor.found)
}

/// Changes each relation's name in `tree` until one breaks.
pub fn relations_mut<B>(
    tree: &mut (impl VisitMut + ?Sized),
    change: impl FnMut(&mut ObjectName) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut visitor = Relations { look: change, found: None };
    let _ = walk_mut(tree, &mut visitor);
    break_with(visitor.found)
}

fn break_with<B>(found: Option<B>) -> ControlFlow<B> {
    found.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}

/// Keeps what a closure breaks with, and breaks with nothing: what is broken with is part of a walk's type.
fn keep<B>(found: &mut Option<B>, answer: ControlFlow<B>) -> ControlFlow<()> {
    answer.map_break(|value| *found = Some(value))
}

struct Expressions<F, B> {
    look: F,
    found: Option<B>,
}

impl<B, F: FnMut(&Expr) -> ControlFlow<B>> Visitor for Expressions<F, B> {
    type Break = ();
    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        keep(&mut self.found, (self.look)(expr))
    }
}

impl<B, F: FnMut(&mut Expr) -> ControlFlow<B>> VisitorMut for Expressions<F, B> {
    type Break = ();
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        keep(&mut self.found, (self.look)(expr))
    }
}

struct OwnExpressions<F, B> {
    look: F,
    /// Around what is visited.
    queries: usize,
    found: Option<B>,
}

impl<B, F: FnMut(&Expr) -> ControlFlow<B>> Visitor for OwnExpressions<F, B> {
    type Break = ();
    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }
    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }
    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match self.queries {
            0 => keep(&mut self.found, (self.look)(expr)),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl<B, F: FnMut(&mut Expr) -> ControlFlow<B>> VisitorMut for OwnExpressions<F, B> {
    type Break = ();
    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }
    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match self.queries {
            0 => keep(&mut self.found, (self.look)(expr)),
            _ => ControlFlow::Continue(()),
        }
    }
}

struct Relations<F, B> {
    look: F,
    found: Option<B>,
}

impl<B, F: FnMut(&ObjectName) -> ControlFlow<B>> Visitor for Relations<F, B> {
    type Break = ();
    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        keep(&mut self.found, (self.look)(name))
    }
}

impl<B, F: FnMut(&mut ObjectName) -> ControlFlow<B>> VisitorMut for Relations<F, B> {
    type Break = ();
    fn post_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        keep(&mut self.found, (self.look)(name))
    }
}

struct HandOn<'a, B>(&'a mut dyn Visitor<Break = B>);
struct HandOnMut<'a, B>(&'a mut dyn VisitorMut<Break = B>);

macro_rules! hand_on {
    ($($call:ident($node:ty)),* $(,)?) => {
        impl<B> Visitor for HandOn<'_, B> {
            type Break = B;
            $(fn $call(&mut self, node: &$node) -> ControlFlow<B> { self.0.$call(node) })*
        }
        impl<B> VisitorMut for HandOnMut<'_, B> {
            type Break = B;
            $(fn $call(&mut self, node: &mut $node) -> ControlFlow<B> { self.0.$call(node) })*
        }
    };
}

hand_on! {
    pre_visit_query(Query), post_visit_query(Query),
    pre_visit_select(Select), post_visit_select(Select),
    pre_visit_relation(ObjectName), post_visit_relation(ObjectName),
    pre_visit_table_factor(TableFactor), post_visit_table_factor(TableFactor),
    pre_visit_expr(Expr), post_visit_expr(Expr),
    pre_visit_statement(Statement), post_visit_statement(Statement),
    pre_visit_value(ValueWithSpan), post_visit_value(ValueWithSpan),
}
