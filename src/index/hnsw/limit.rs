//! What a graph refuses to hold.

use crate::distance::{Element, Vector};
use crate::error::{Error, Result, SqlState};
use crate::types::HNSW_ELEMENTS_MAX;

/// pgvector's refusal of a sparse vector that takes too long to compare (54000).
pub fn check_elements(vector: Vector) -> Result<()> {
    match vector {
        Vector::Sparse(sparse) if sparse.count() > HNSW_ELEMENTS_MAX => {
            let name = Element::Sparse.type_name();
            let message =
                format!("{name} cannot have more than {HNSW_ELEMENTS_MAX} non-zero elements for hnsw index");
            Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
        }
        _ => Ok(()),
    }
}
