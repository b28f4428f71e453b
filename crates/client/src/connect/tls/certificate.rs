//! Reads the few fields of a certificate (X.509, RFC 5280, section 4.1, in DER) that error messages need.

use std::ops::RangeInclusive;

/// The fields of a certificate that are used, in DER.
pub(super) struct Fields<'a> {
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// The first and the last second of its validity, since 1970.
    pub(super) valid: RangeInclusive<u64>,
}

/// `None` if the certificate cannot be read.
pub(super) fn fields(certificate: &[u8]) -> Option<Fields<'_>> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, mut rest, _) = element(certificate)? else { return None };
    let mut next = || {
        let (tag, content, behind) = element(rest)?;
        rest = behind;
        Some((tag, content))
    };
    let mut field = next()?;
    if field.0 == VERSION {
        // The next element is the serial number.
        field = next()?;
    }
    let _serial_number = field;
    let _signature = next()?;
    let (_, issuer) = next()?;
    let (_, validity) = next()?;
    let (_, subject) = next()?;
    let (tag, not_before, behind) = element(validity)?;
    let not_before = time(tag, not_before)?;
    let (tag, not_after, _) = element(behind)?;
    Some(Fields { issuer, subject, valid: not_before..=time(tag, not_after)? })
}

/// A time in seconds since 1970. Its text is `YYMMDDHHMMSSZ` for the years 1950 to 2049, or has a year of four digits
/// (RFC 5280, section 4.1.2.5). A time before 1970 becomes 0.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let digits = text.strip_suffix(b"Z")?;
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let mut parts = rest.chunks(2).map(number);
    let mut next = || parts.next().flatten();
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year > 9999 {
        return None;
    }
    // Years begin in March here, so that the leap day is the last day of a year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second).saturating_sub(719_468 * 86_400))
}

/// The common name in a distinguished name, or else its organization: the name that people use.
pub(super) fn called(name: &[u8]) -> Option<String> {
    const COMMON_NAME: [u8; 3] = [0x55, 4, 3];
    const ORGANIZATION: [u8; 3] = [0x55, 4, 10];
    [COMMON_NAME, ORGANIZATION].into_iter().find_map(|wanted| {
        let mut rest = name;
        while let Some((_set, set, behind)) = element(rest) {
            rest = behind;
            let (_, attribute, _) = element(set)?;
            let (_, kind, value) = element(attribute)?;
            if kind == wanted {
                let (_, text, _) = element(value)?;
                return Some(printable(&String::from_utf8_lossy(text)));
            }
        }
        None
    })
}

/// The beginning of a text that others wrote, without characters that do not belong in one line.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The first element: its tag, its content, and the bytes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((*tag, content, behind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

    use super::*;

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    #[test]
    fn names_are_found() {
        let (key, issuers) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let issuer = Issuer::new(params("The authority\n"), issuers);
        let signed = params("The server").signed_by(&key, &issuer).unwrap();
        let found = fields(signed.der()).unwrap();
        assert_eq!(called(found.issuer).as_deref(), Some("The authority"));
        assert_eq!(called(found.subject).as_deref(), Some("The server"));
        let mut own = params("Itself");
        own.not_before = rcgen::date_time_ymd(2000, 2, 29);
        own.not_after = rcgen::date_time_ymd(2100, 3, 1);
        let own = own.self_signed(&key).unwrap();
        let found = fields(own.der()).unwrap();
        assert_eq!((found.issuer, found.valid), (found.subject, 951_782_400..=4_107_542_400));
    }

    #[test]
    fn times_are_read() {
        for (tag, text, expected) in [
            (0x17, "700101000000Z", Some(0)),
            (0x17, "991231235959Z", Some(946_684_799)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x17, "500101000000Z", Some(0)),
            (0x18, "20240229120001Z", Some(1_709_208_001)),
            (0x18, "99991231235959Z", Some(253_402_300_799)),
            (0x17, "7001010000Z", None),
            (0x17, "701301000000Z", None),
            (0x17, "700101000000", None),
            (0x18, "x0240229120001Z", None),
            (0x04, "700101000000Z", None),
        ] {
            assert_eq!(time(tag, text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_fine(bytes: Vec<u8>, at: usize, byte: u8) {
            let read = |der: &[u8]| fields(der).map(|found| (called(found.issuer), called(found.subject)));
            let _ = read(&bytes);
            let _ = time(0x17, &bytes).or(time(0x18, &bytes));
            let key = KeyPair::generate().unwrap();
            let mut der = params("x").self_signed(&key).unwrap().der().to_vec();
            let at = at % der.len();
            der[at] = byte;
            let _ = (read(&der), read(&der[..at]));
        }
    }
}
