import CHiredis

/// The hiredis that this program was built with; the library cannot be asked.
public enum HiredisVersion {
    /// `0.14.1`
    public static var text: String { "\(HIREDIS_MAJOR).\(HIREDIS_MINOR).\(HIREDIS_PATCH)" }
}
