//! As much of a certificate (X.509, RFC 5280, section 4.1, in DER) as a message about it needs.

/// Who issued a certificate to whom: two names in DER. None where it cannot be read.
pub(super) fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, mut rest, _) = element(certificate)? else { return None };
    let mut next = || {
        let (tag, content, behind) = element(rest)?;
        rest = behind;
        Some((tag, content))
    };
    let mut field = next()?;
    if field.0 == VERSION {
        // Then the serial number.
        field = next()?;
    }
    let _serial_number = field;
    let _signature = next()?;
    let (_, issuer) = next()?;
    let _validity = next()?;
    let (_, subject) = next()?;
    Some((issuer, subject))
}

/// The common name in a name, or else its organization: what people call it.
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

/// The first of a text that others wrote, without what does not belong into a line.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The first element: its tag, what is in it, and what is behind it.
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
        let (issuer, subject) = issuer_and_subject(signed.der()).unwrap();
        assert_eq!(called(issuer).as_deref(), Some("The authority"));
        assert_eq!(called(subject).as_deref(), Some("The server"));
        let own = params("Itself").self_signed(&key).unwrap();
        let (issuer, subject) = issuer_and_subject(own.der()).unwrap();
        assert_eq!(issuer, subject);
    }

    proptest! {
        #[test]
        fn any_bytes_are_fine(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = issuer_and_subject(&bytes).map(|(issuer, subject)| (called(issuer), called(subject)));
            let key = KeyPair::generate().unwrap();
            let mut der = params("x").self_signed(&key).unwrap().der().to_vec();
            let at = at % der.len();
            der[at] = byte;
            let _ = issuer_and_subject(&der).map(|(issuer, subject)| (called(issuer), called(subject)));
            let _ = issuer_and_subject(&der[..at]);
        }
    }
}
