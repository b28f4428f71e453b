//! A FIFO of waiting tasks, the intrusive list under the limiter and the queue.
