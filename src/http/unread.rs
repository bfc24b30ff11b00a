//! A body that nobody reads to its end must not keep its connection.
//!
//! The HTTP library goes on draining a chunked body whose reader is gone, for as long as the caller
//! likes, although the answer is out. While the reader is still there when the answer ends, it
//! closes the connection instead. So the reader is kept until then.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;

/// The reader of a request's body.
#[derive(Clone)]
pub(super) struct Reader(Rc<RefCell<Payload>>);

impl Reader {
    /// The reader of this request; the request's handler reads through it.
    pub(super) fn of(request: &mut ServiceRequest) -> Self {
        let reader = Self(Rc::new(RefCell::new(request.take_payload())));
        request.set_payload(Payload::Stream {
            payload: Box::pin(reader.clone()),
        });
        reader
    }

    /// A body that keeps the reader until its own end.
    pub(super) fn kept_by(self, body: BoxBody) -> BoxBody {
        BoxBody::new(Keeping {
            body,
            _reader: self,
        })
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

struct Keeping {
    body: BoxBody,
    _reader: Reader,
}

impl MessageBody for Keeping {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
