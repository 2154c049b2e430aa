// What `cairn serve` can be told: the options, their defaults, ranges and names.
//
// Plain values and pure functions, any thread. Every setting has one name, which makes its flag
// (--data-dir), its environment variable (CAIRN_DATA_DIR) and its key in the settings file
// (data-dir). Which of the three is heard is command_line.h's part; here is what the text means.
// Nothing is resolved, opened or created: an option that is accepted here may still fail at start.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/address.h"
#include "server/base/parse_result.h"
#include "server/log/logging.h"
#include "server/settings/initial_cluster.h"

namespace cairn::server {

struct ServeOptions {
    std::uint64_t id = 1;
    std::string data_dir = "./cairn-data";
    Address http{"127.0.0.1", 8080};  // port 0: any free one
    Address raft{"127.0.0.1", 7080};
    std::optional<Address> advertise_http;  // none: see advertised_http()
    bool raft_given = false;                // else an initialised data directory knows better
    std::optional<InitialCluster> initial_cluster;  // none: this node alone; contains id

    std::optional<Address> join;  // the HTTP address of a member; with an explicit raft address

    int heartbeat_ms = 50;
    int election_timeout_ms = 300;  // at least 2 * heartbeat_ms
    std::uint64_t snapshot_entries = 100000;
    std::uint64_t max_value_bytes = std::uint64_t{1} << 20U;
    int gateway_threads = 0;  // 0: HTTP is served on the raft thread
    int max_connections = 10000;
    std::optional<int> max_connections_per_address;  // none: seven of eight
    int max_socket_subscriptions = 1000;
    int max_socket_commands = 128;
    int default_timeout_ms = 5000;
    // Beside the addresses the server knows itself by; lower case, IPv6 in brackets, no port, no
    // dot at the end.
    std::vector<std::string> allowed_hosts;
    // As browsers send them: "https://app.example.com", "http://localhost:3000".
    std::vector<std::string> allowed_origins;
    // What slow, idle and greedy clients are allowed.
    int header_timeout_ms = 10000;
    int body_timeout_ms = 10000;
    int write_timeout_ms = 20000;
    int idle_timeout_ms = 75000;
    int linger_timeout_ms = 2000;
    int websocket_idle_timeout_ms = 60000;
    int min_bytes_per_second = 16384;
    int max_header_bytes = 8192;
    int max_message_bytes = 65536;
    std::uint64_t max_stream_queue_bytes = std::uint64_t{512} << 20U;
    int max_long_polls = 10000;
    std::uint64_t max_buffered_bytes = std::uint64_t{256} << 20U;
    std::uint64_t max_large_body_bytes = std::uint64_t{128} << 20U;
    std::uint64_t max_large_body_work_bytes = std::uint64_t{8} << 20U;
    int max_large_bodies_waiting = 2048;
    int large_body_timeout_ms = 5000;

    bool lease_reads = false;
    bool unsafe_no_fsync = false;

    std::string access_log;  // a file, "-" for standard output; empty: none
    LogLevel log_level = LogLevel::info;
    LogFormat log_format = LogFormat::text;

    // Who founds the cluster on the first start.
    InitialCluster founders() const;
    // What the members are told to reach this node's HTTP by, which on a wildcard address is found
    // where the node's Raft is; `bound_port` is what http's port came to.
    Address advertised_http(const Address& advertised_raft, std::uint16_t bound_port) const;

    friend bool operator==(const ServeOptions&, const ServeOptions&) = default;
};

enum class SettingKind : std::uint8_t {
    text,
    number,
    choice,  // on or off
    list,    // may be given several times, and as a comma-separated list
};

struct Setting {
    std::string_view name;
    SettingKind kind = SettingKind::text;
    std::string_view value_name;    // in the help
    std::string_view default_text;  // in the help; parses into the default when it isn't in ()
    std::string_view help;
    // Reads what was given into the options. Answers what is wrong with it, or nothing.
    std::string (*apply)(std::span<const std::string> texts, ServeOptions& options) = nullptr;
};

// All there are, in the order of the help.
std::span<const Setting> serve_settings();

// CAIRN_DATA_DIR for data-dir.
std::string environment_name(std::string_view setting);

// What was given for one setting, and where, for the message when it is wrong.
struct GivenSetting {
    std::vector<std::string> texts;  // one, unless the setting is a list
    std::string source;              // "--id", "CAIRN_ID", "cairn.toml: id"
};

using GivenSettings = std::map<std::string, GivenSetting, std::less<>>;  // by the setting's name

// Threads for HTTP when nothing is said: none of its own on up to two cores, else what the raft
// thread, the disk thread and the system leave over, at most 16.
int default_gateway_threads(unsigned cores);

// Checks every setting and all of them together. Names that are no settings must not be in `given`.
ParseResult<ServeOptions> make_options(const GivenSettings& given, unsigned cores);

}  // namespace cairn::server
