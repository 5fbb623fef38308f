//! The query of a call: each name once, and the places in a list.

use std::ops::RangeInclusive;

use actix_web::HttpRequest;

use crate::hooks::form::Form;
use crate::http::error::ApiError;
use crate::http::wire::cursor;
use crate::store::list::ListPlace;

/// How many things a page of a list has, where the caller does not say.
const USUAL_PAGE: usize = 50;

/// The query of a call, each name once.
pub struct Query<'a>(Form<'a>);

impl<'a> Query<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// 400 for one that cannot be read.
    pub fn of(request: &'a HttpRequest) -> Result<Self, ApiError> {
        let form = Form::parse(request.query_string().as_bytes());
        form.map(Self).map_err(|_| malformed())
    }

    /// Takes a value out; an empty one counts as left out.
    ///
    /// # Errors
    /// 400 for a name that is there twice.
    pub fn take(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let taken = self.0.take_filled(name).map_err(|_| malformed())?;
        Ok(taken.map(|text| text.into_owned()))
    }

    /// How many things the caller wants at most.
    ///
    /// # Errors
    /// 400 for a number that no page has.
    pub fn limit(&mut self, most: usize) -> Result<usize, ApiError> {
        let Some(text) = self.take("limit")? else {
            return Ok(USUAL_PAGE);
        };
        let possible: RangeInclusive<usize> = 1..=most;
        let limit = text.parse().ok().filter(|limit| possible.contains(limit));
        limit.ok_or_else(|| ApiError::invalid_request(&format!("limit is 1 to {most}")))
    }

    /// Where to go on.
    ///
    /// # Errors
    /// 400 for a place that no list has given.
    pub fn cursor(&mut self) -> Result<Option<ListPlace>, ApiError> {
        let wrong = || ApiError::invalid_request("cursor is not one that a list has given");
        let from = self.take("cursor")?;
        from.map(|text| cursor(&text).ok_or_else(wrong)).transpose()
    }
}

fn malformed() -> ApiError {
    ApiError::invalid_request("the query cannot be read, or has a name twice")
}
