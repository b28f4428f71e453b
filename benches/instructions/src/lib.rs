//! Instructions counted by callgrind, against gates.
