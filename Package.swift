// swift-tools-version: 6.2
import PackageDescription

// Sanitizers bring their own malloc:
// NO_JEMALLOC=1 swift test --sanitize thread -Xswiftc -use-ld=lld
let hasJemalloc = Context.environment["NO_JEMALLOC"] == nil

// CI sets WARNINGS_AS_ERRORS=1; a warning does not stop somebody who is in the middle of a change.
let warnings: [SwiftSetting] =
    Context.environment["WARNINGS_AS_ERRORS"] == nil ? [] : [.treatAllWarnings(as: .error)]

let plain: [SwiftSetting] =
    warnings + [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ]

// Modules that never need an unsafe pointer of their own.
let strict: [SwiftSetting] = plain + [.strictMemorySafety()]

// Modules on the path of each request: release builds skip the dynamic exclusivity checks, which
// cost 8 ns for each access to a class property (docs/DESIGN.md, "Compile flags").
let hot: [SwiftSetting] =
    plain + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

let package = Package(
    name: "apusfs",
    products: [.executable(name: "apusfs", targets: ["apusfs"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .systemLibrary(name: "CFuse", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
        // No pkgConfig: hiredis.pc carries a flag that SwiftPM prohibits.
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(
            name: "CJemalloc",
            cSettings: hasJemalloc ? [.define("APUSFS_JEMALLOC")] : [],
            linkerSettings: hasJemalloc ? [.linkedLibrary("jemalloc")] : []),
        .target(name: "CLinux"),
        .target(name: "CUring", linkerSettings: [.linkedLibrary("uring")]),

        .target(name: "Primitives", dependencies: ["CLinux"], swiftSettings: hot),
        .target(name: "Telemetry", dependencies: ["Primitives"], swiftSettings: hot),
        .target(
            name: "KeyValue", dependencies: ["Primitives", "Telemetry"], swiftSettings: hot),
        .target(name: "FileSystem", dependencies: ["Primitives"], swiftSettings: hot),
        .target(
            name: "Codecs", dependencies: ["CLZ4", "CZlib", "Primitives"], swiftSettings: hot),
        .target(
            name: "Redis",
            dependencies: [
                "CHiredis", "CLinux", "COpenSSL", "KeyValue", "Primitives", "Telemetry",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: hot),
        .target(
            name: "Cache", dependencies: ["CLinux", "Primitives", "Telemetry"], swiftSettings: hot),
        .target(
            name: "VolumeStore",
            dependencies: [
                "Codecs", "FileSystem", "KeyValue", "Primitives", "Telemetry",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: hot),
        .target(
            name: "VolumeFS",
            dependencies: [
                "Cache", "FileSystem", "Primitives", "Telemetry", "VolumeStore",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: hot),
        .target(
            name: "KeyspaceFS",
            dependencies: [
                "FileSystem", "KeyValue", "Primitives", "Redis", "Telemetry",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: hot),
        .target(
            name: "FuseServer",
            dependencies: [
                "CFuse", "CLinux", "CUring", "FileSystem", "Primitives", "Telemetry",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: hot),
        .executableTarget(
            name: "apusfs",
            dependencies: [
                "CJemalloc", "CLinux", "Codecs", "FileSystem", "FuseServer", "KeyspaceFS",
                "KeyValue", "Primitives", "Redis", "Telemetry", "VolumeFS", "VolumeStore",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: plain),

        .target(
            name: "TestSupport", dependencies: ["CLinux", "Primitives"], path: "Tests/TestSupport",
            swiftSettings: plain),
        .testTarget(
            name: "PrimitivesTests",
            dependencies: [
                "Primitives", "TestSupport",
            ], swiftSettings: plain),
        .testTarget(
            name: "KeyValueTests",
            dependencies: [
                "KeyValue", "Primitives", "Redis", "Telemetry", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: plain),
        .testTarget(
            name: "RedisTests",
            dependencies: [
                "KeyValue", "Primitives", "Redis", "Telemetry", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: plain),
        .testTarget(
            name: "CodecsTests",
            dependencies: [
                "Codecs", "Primitives", "TestSupport",
            ], swiftSettings: plain),
        .testTarget(
            name: "CacheTests",
            dependencies: [
                "CJemalloc", "Cache", "Primitives", "Telemetry", "TestSupport",
            ], swiftSettings: plain),
        .testTarget(
            name: "VolumeStoreTests",
            dependencies: [
                "Codecs", "FileSystem", "KeyValue", "Primitives", "Redis", "Telemetry",
                "TestSupport", "VolumeStore",
            ], swiftSettings: plain),
        .testTarget(
            name: "VolumeFSTests",
            dependencies: [
                "Cache", "Codecs", "FileSystem", "KeyValue", "Primitives", "Redis", "Telemetry",
                "TestSupport", "VolumeFS", "VolumeStore",
            ], swiftSettings: plain),
        .testTarget(
            name: "KeyspaceFSTests",
            dependencies: [
                "CLinux", "FileSystem", "FuseServer", "KeyValue", "KeyspaceFS", "Primitives",
                "Redis", "Telemetry", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: plain),
        .testTarget(
            name: "FuseServerTests",
            dependencies: [
                "CJemalloc", "CLinux", "FileSystem", "FuseServer", "Primitives", "Telemetry",
                "TestSupport", .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: plain),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "CLinux", "Codecs", "FuseServer", "KeyValue", "KeyspaceFS", "Primitives",
                "TestSupport", "apusfs",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: plain),
        .testTarget(
            name: "MountTests",
            dependencies: [
                "CLinux", "Primitives", "TestSupport",
            ], swiftSettings: plain),
        .testTarget(
            name: "TidyTests",
            dependencies: [
                "TestSupport"
            ], swiftSettings: plain),
    ],
    swiftLanguageModes: [.v6]
)
