//! `strftime_now` of Hugging Face's templates: the local time through the C library's `strftime`, as
//! Python's `datetime.now().strftime` does.

use std::ffi::CString;

/// None if the format holds a NUL or the result is longer than `LONGEST` bytes.
pub fn format_now(format: &str) -> Option<String> {
    const LONGEST: usize = 4096;
    // An empty result and one that is too long both come back as 0; a trailing blank tells them apart.
    let with_mark = CString::new(format!("{format} ")).ok()?;
    let mut buffer = vec![0u8; LONGEST];
    // SAFETY: tm is plain data for which zero is a value; localtime_r and strftime write only into
    // what they are given, and strftime no more than the length it is told.
    let written = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut parts: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&now, &mut parts).is_null() {
            return None;
        }
        libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), with_mark.as_ptr(), &parts)
    };
    buffer.truncate(written.checked_sub(1)?);
    String::from_utf8(buffer).ok()
}

#[cfg(test)]
mod tests {
    use super::format_now;

    #[test]
    fn text_without_a_directive_comes_back() {
        assert_eq!(format_now("day é").as_deref(), Some("day é"));
        assert_eq!(format_now("").as_deref(), Some(""));
        assert_eq!(format_now("%Y").map(|year| year.len()), Some(4));
        assert_eq!(format_now("\0"), None);
    }
}
