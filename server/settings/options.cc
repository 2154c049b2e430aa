#include "server/settings/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <type_traits>
#include <utility>

#include "server/base/printable.h"

namespace cairn::server {
namespace {

using Texts = std::span<const std::string>;

constexpr std::size_t list_entries_max = 256;

std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t lowest,
                                          std::uint64_t highest) {
    std::uint64_t number = 0;
    const char* end = text.data() + text.size();
    const std::from_chars_result read = std::from_chars(text.data(), end, number);
    if (text.empty() || read.ec != std::errc() || read.ptr != end || number < lowest ||
        number > highest) {
        return std::nullopt;
    }
    return number;
}

template <class Member>
struct NumberIn {
    using Type = Member;
};
template <class Number>
struct NumberIn<std::optional<Number>> {
    using Type = Number;
};
template <class Member>
using NumberOf = typename NumberIn<Member>::Type;

template <auto member, std::uint64_t lowest, std::uint64_t highest>
std::string apply_number(Texts texts, ServeOptions& options) {
    using Number = NumberOf<std::remove_reference_t<decltype(options.*member)>>;
    static_assert(std::in_range<Number>(highest));
    const std::optional<std::uint64_t> number = parse_number(texts.front(), lowest, highest);
    if (!number) {
        return in_quotes(texts.front()) + " is not a whole number from " + std::to_string(lowest) +
               " to " + std::to_string(highest);
    }
    options.*member = static_cast<Number>(*number);
    return {};
}

template <auto member, PortZero port_zero>
std::string apply_address(Texts texts, ServeOptions& options) {
    ParseResult<Address> address = parse_address(texts.front(), port_zero);
    if (!address) {
        return address.error().text;
    }
    options.*member = *std::move(address);
    return {};
}

template <auto member, auto parse>
std::string apply_word(Texts texts, ServeOptions& options, std::string_view words) {
    const auto value = parse(texts.front());
    if (!value) {
        return in_quotes(texts.front()) + " is not one of " + std::string(words);
    }
    options.*member = *value;
    return {};
}

std::string apply_id(Texts texts, ServeOptions& options) {
    const ParseResult<std::uint64_t> id = parse_node_id(texts.front());
    if (!id) {
        return id.error().text;
    }
    options.id = *id;
    return {};
}

bool holds_control(std::string_view text) {
    return std::ranges::any_of(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string apply_data_dir(Texts texts, ServeOptions& options) {
    const std::string& path = texts.front();
    if (path.empty()) {
        return "the path is empty";
    }
    // `--data-dir --http …` lacks a value; nobody wants a directory of that name.
    if (path.starts_with('-')) {
        return in_quotes(path) + " looks like a flag; write ./" + printable(path) +
               " if it is a directory";
    }
    if (holds_control(path)) {
        return in_quotes(path) + " holds a control character";
    }
    options.data_dir = path;
    return {};
}

std::string apply_initial_cluster(Texts texts, ServeOptions& options) {
    ParseResult<InitialCluster> members = parse_initial_cluster(texts.front());
    if (!members) {
        return members.error().text;
    }
    options.initial_cluster = *std::move(members);
    return {};
}

template <auto member>
std::string apply_choice(Texts texts, ServeOptions& options) {
    const std::string& text = texts.front();
    if (text != "true" && text != "1" && text != "false" && text != "0") {
        return in_quotes(text) + " is not true or false";
    }
    options.*member = text == "true" || text == "1";
    return {};
}

// A host as it stands in a Host header, without the port and a name's last dot.
ParseResult<std::string> parse_allowed_host(std::string_view text) {
    const bool bracketed = text.size() > 2 && text.starts_with('[') && text.ends_with(']');
    const std::string_view inner = bracketed ? text.substr(1, text.size() - 2) : text;
    ParseResult<std::string> host = parse_host(inner);
    if (!host || (bracketed && host->find(':') == std::string::npos)) {
        return parse_error(in_quotes(text) + " is not a host name or IP address (without a port)");
    }
    if (host->ends_with('.')) {
        host->pop_back();
    }
    const bool ipv6 = host->find(':') != std::string::npos;
    return ParseResult<std::string>(ipv6 ? "[" + *host + "]" : *host);
}

// SCHEME://HOST[:PORT] as RFC 6454 serializes it: lower case, without the scheme's own port.
ParseResult<std::string> parse_allowed_origin(std::string_view text) {
    const ParseError error =
        parse_error(in_quotes(text) + " is not an origin such as https://example.com:8443");
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    const std::string_view scheme = lower.starts_with("http://")    ? "http://"
                                    : lower.starts_with("https://") ? "https://"
                                                                    : "";
    if (scheme.empty()) {
        return error;
    }
    const std::string_view authority = std::string_view(lower).substr(scheme.size());
    const std::string own_port = scheme == "http://" ? ":80" : ":443";
    const bool with_port = authority.find(':', authority.rfind(']') + 1) != std::string_view::npos;
    const ParseResult<Address> address = parse_address(
        with_port ? std::string(authority) : std::string(authority) + own_port, PortZero::refused);
    if (!address) {
        return error;
    }
    std::string origin = std::string(scheme) + address->text();
    if (origin.ends_with(own_port)) {
        origin.resize(origin.size() - own_port.size());
    }
    return ParseResult<std::string>(std::move(origin));
}

template <auto member, auto parse>
std::string apply_list(Texts texts, ServeOptions& options) {
    std::vector<std::string>& list = options.*member;
    list.clear();
    for (std::string_view rest : texts) {
        while (true) {
            const std::size_t comma = rest.find(',');
            std::string_view entry = rest.substr(0, comma);
            entry.remove_prefix(std::min(entry.find_first_not_of(' '), entry.size()));
            entry = entry.substr(0, entry.find_last_not_of(' ') + 1);
            ParseResult<std::string> value = parse(entry);
            if (!value) {
                return value.error().text;
            }
            if (list.size() == list_entries_max) {
                return "more than " + std::to_string(list_entries_max) + " entries";
            }
            list.push_back(*std::move(value));
            if (comma == std::string_view::npos) {
                break;
            }
            rest.remove_prefix(comma + 1);
        }
    }
    return {};
}

std::string apply_access_log(Texts texts, ServeOptions& options) {
    const std::string& path = texts.front();
    if (path.empty()) {
        return "the path is empty";
    }
    if (path != "-" && path.starts_with('-')) {
        return in_quotes(path) + " looks like a flag; write ./" + printable(path) +
               " if it is a file";
    }
    if (holds_control(path)) {
        return in_quotes(path) + " holds a control character";
    }
    options.access_log = path;
    return {};
}

std::string apply_log_level(Texts texts, ServeOptions& options) {
    return apply_word<&ServeOptions::log_level, parse_log_level>(
        texts, options, "trace, debug, info, warn and error");
}

std::string apply_log_format(Texts texts, ServeOptions& options) {
    return apply_word<&ServeOptions::log_format, parse_log_format>(texts, options, "text and json");
}

using Options = ServeOptions;

constexpr auto settings = std::to_array<Setting>({
    {"id", SettingKind::number, "ID", "1", "This node's id, unique in the cluster", apply_id},
    {"data-dir", SettingKind::text, "DIR", "./cairn-data",
     "Where this node keeps its data; made when it is missing", apply_data_dir},
    {"http", SettingKind::text, "HOST:PORT", "127.0.0.1:8080",
     "Where clients connect; port 0 takes any free one",
     apply_address<&Options::http, PortZero::allowed>},
    {"advertise-http", SettingKind::text, "HOST:PORT", "(http)",
     "Where clients and the dashboard find this node, as the members\n"
     "tell it; when http is a wildcard address the default is the\n"
     "host of its Raft address with http's port",
     apply_address<&Options::advertise_http, PortZero::refused>},
    {"raft", SettingKind::text, "HOST:PORT", "127.0.0.1:7080",
     "Where the other nodes connect; with initial-cluster the default\n"
     "is this node's address in it",
     apply_address<&Options::raft, PortZero::refused>},
    {"initial-cluster", SettingKind::text, "LIST", "(this node alone)",
     "Ids and Raft addresses of the nodes that found the cluster,\n"
     "1=HOST:PORT,2=HOST:PORT,…, the same on every node; used on\n"
     "the first start only",
     apply_initial_cluster},
    {"join", SettingKind::text, "HOST:PORT", "",
     "The HTTP address of any member of a running cluster that this\n"
     "node is to join, with --raft as its address for the others;\n"
     "used on the first start only",
     apply_address<&Options::join, PortZero::refused>},
    {"heartbeat-ms", SettingKind::number, "MS", "50",
     "Time between two heartbeats of the leader, 10 to 60000",
     apply_number<&Options::heartbeat_ms, 10, 60000>},
    {"election-timeout-ms", SettingKind::number, "MS", "300",
     "Silence of the leader after which a node campaigns (each\n"
     "draws between this and twice this), 20 to 600000, at least\n"
     "twice heartbeat-ms",
     apply_number<&Options::election_timeout_ms, 20, 600000>},
    {"snapshot-entries", SettingKind::number, "N", "100000",
     "Applied entries between two snapshots, 1 to 1000000000",
     apply_number<&Options::snapshot_entries, 1, 1000000000>},
    {"max-value-bytes", SettingKind::number, "BYTES", "1048576",
     "The largest value, 1 to 67108864; the same on every node",
     apply_number<&Options::max_value_bytes, 1, (std::uint64_t{64} << 20U)>},
    {"gateway-threads", SettingKind::number, "N", "(by the number of cores)",
     "Threads for HTTP, 0 to 64; 0 serves it on the raft thread,\n"
     "which is best on one or two cores",
     apply_number<&Options::gateway_threads, 0, 64>},
    {"max-connections", SettingKind::number, "N", "10000",
     "Client connections at a time, 1 to 1000000",
     apply_number<&Options::max_connections, 1, 1000000>},
    {"max-connections-per-address", SettingKind::number, "N", "(7/8 of max-connections)",
     "Of them from one IPv4 address or IPv6 /64, 1 to 1000000",
     apply_number<&Options::max_connections_per_address, 1, 1000000>},
    {"header-timeout-ms", SettingKind::number, "MS", "10000",
     "Time for a request's head to arrive, 100 to 600000",
     apply_number<&Options::header_timeout_ms, 100, 600000>},
    {"body-timeout-ms", SettingKind::number, "MS", "10000",
     "Time for a body to arrive, beside what min-bytes-per-second\n"
     "gives it, 100 to 600000",
     apply_number<&Options::body_timeout_ms, 100, 600000>},
    {"write-timeout-ms", SettingKind::number, "MS", "20000",
     "Time for a client to take an answer, likewise, 100 to 600000",
     apply_number<&Options::write_timeout_ms, 100, 600000>},
    {"min-bytes-per-second", SettingKind::number, "N", "16384",
     "How fast large bodies and answers have to move, 1 to 1000000000",
     apply_number<&Options::min_bytes_per_second, 1, 1000000000>},
    {"idle-timeout-ms", SettingKind::number, "MS", "75000",
     "Time between two requests on a connection, 100 to 86400000",
     apply_number<&Options::idle_timeout_ms, 100, 86400000>},
    {"linger-timeout-ms", SettingKind::number, "MS", "2000",
     "Time for a client to take the last answer, 100 to 60000",
     apply_number<&Options::linger_timeout_ms, 100, 60000>},
    {"websocket-idle-timeout-ms", SettingKind::number, "MS", "60000",
     "Silence of a client after which its WebSocket is closed; it is\n"
     "pinged after half of it, 1000 to 86400000",
     apply_number<&Options::websocket_idle_timeout_ms, 1000, 86400000>},
    {"max-header-bytes", SettingKind::number, "BYTES", "8192",
     "The longest target, and all headers of a request together, 1024\n"
     "to 16384",
     apply_number<&Options::max_header_bytes, 1024, 16384>},
    {"max-message-bytes", SettingKind::number, "BYTES", "65536",
     "The largest message from a WebSocket's client, 125 to 67108864",
     apply_number<&Options::max_message_bytes, 125, (1U << 26U)>},
    {"max-socket-subscriptions", SettingKind::number, "N", "1000",
     "Subscriptions on one WebSocket (/v1/stream), 1 to 100000",
     apply_number<&Options::max_socket_subscriptions, 1, 100000>},
    {"max-socket-commands", SettingKind::number, "N", "128",
     "Commands in work on one WebSocket, 1 to 10000",
     apply_number<&Options::max_socket_commands, 1, 10000>},
    {"max-stream-queue-bytes", SettingKind::number, "BYTES", "536870912",
     "What may wait for all slow readers of streams together, 1048576\n"
     "to 1099511627776",
     apply_number<&Options::max_stream_queue_bytes, 1048576, (std::uint64_t{1} << 40U)>},
    {"max-long-polls", SettingKind::number, "N", "10000",
     "Reads that wait for a change (?wait=…), 1 to 1000000",
     apply_number<&Options::max_long_polls, 1, 1000000>},
    {"max-buffered-bytes", SettingKind::number, "BYTES", "268435456",
     "What large requests in work and answers that clients have not\n"
     "yet taken may need together, 1048576 to 1099511627776",
     apply_number<&Options::max_buffered_bytes, 1048576, (std::uint64_t{1} << 40U)>},
    {"max-large-body-bytes", SettingKind::number, "BYTES", "134217728",
     "Room for bodies over 64 KiB that are being received; others\n"
     "wait, 65536 to 1099511627776",
     apply_number<&Options::max_large_body_bytes, 65536, (std::uint64_t{1} << 40U)>},
    {"max-large-body-work-bytes", SettingKind::number, "BYTES", "8388608",
     "Of them, those being written at a time; others wait, 65536 to\n"
     "67108864",
     apply_number<&Options::max_large_body_work_bytes, 65536, (std::uint64_t{1} << 26U)>},
    {"max-large-bodies-waiting", SettingKind::number, "N", "2048",
     "How many large bodies may wait for either, 1 to 1000000",
     apply_number<&Options::max_large_bodies_waiting, 1, 1000000>},
    {"large-body-timeout-ms", SettingKind::number, "MS", "5000",
     "How long each may wait, 100 to 600000",
     apply_number<&Options::large_body_timeout_ms, 100, 600000>},
    {"default-timeout-ms", SettingKind::number, "MS", "5000",
     "Deadline of a request that names none, 1 to 60000",
     apply_number<&Options::default_timeout_ms, 1, 60000>},
    {"allowed-host", SettingKind::list, "HOST", "",
     "Another host name that clients reach this node by; may be\n"
     "given several times or as a comma-separated list",
     apply_list<&Options::allowed_hosts, parse_allowed_host>},
    {"allowed-origin", SettingKind::list, "ORIGIN", "",
     "An origin whose pages may use this node from a browser, such\n"
     "as https://app.example.com; several as for allowed-host",
     apply_list<&Options::allowed_origins, parse_allowed_origin>},
    {"lease-reads", SettingKind::choice, "", "",
     "Serve reads with consistency=lease: the leader answers without\n"
     "asking the others, which relies on every node's clock; on all\n"
     "nodes or none",
     apply_choice<&Options::lease_reads>},
    {"unsafe-no-fsync", SettingKind::choice, "", "",
     "Don't wait for the disk: a crash of the machine loses what\n"
     "was acknowledged. For measuring only, never for data",
     apply_choice<&Options::unsafe_no_fsync>},
    {"access-log", SettingKind::text, "PATH", "",
     "A line for every request, appended to this file (SIGHUP opens it\n"
     "anew) or - for standard output; in the log's format",
     apply_access_log},
    {"log-level", SettingKind::text, "LEVEL", "info", "trace, debug, info, warn or error",
     apply_log_level},
    {"log-format", SettingKind::text, "FORMAT", "text", "text or json, on stderr",
     apply_log_format},
});

// What is wrong with the options taken together, or nothing.
std::string objection_to(const ServeOptions& options) {
    const auto number = [](auto value) { return std::to_string(value); };
    if (options.election_timeout_ms < 2 * options.heartbeat_ms) {
        return "election-timeout-ms (" + number(options.election_timeout_ms) +
               ") must be at least twice heartbeat-ms (" + number(options.heartbeat_ms) + ")";
    }
    if (options.initial_cluster && !has_member(*options.initial_cluster, options.id)) {
        return "id " + number(options.id) + " is not in the initial cluster " +
               in_quotes(initial_cluster_text(*options.initial_cluster), 1000);
    }
    if (options.join && options.initial_cluster) {
        return "join and initial-cluster exclude each other: a node founds a cluster or joins one";
    }
    if (options.join && (!options.raft_given || options.raft.is_wildcard())) {
        return "join needs raft, the address at which the members reach this node";
    }
    if (options.advertise_http && options.advertise_http->is_wildcard()) {
        return "advertise-http is " + options.advertise_http->text() + ", which nobody can dial";
    }
    if (options.http == options.raft) {
        return "http and raft are the same address " + options.http.text();
    }
    return {};
}

}  // namespace

InitialCluster ServeOptions::founders() const {
    return initial_cluster.value_or(InitialCluster{{id, raft}});
}

Address ServeOptions::advertised_http(const Address& advertised_raft,
                                      std::uint16_t bound_port) const {
    if (advertise_http) {
        return *advertise_http;
    }
    return {http.is_wildcard() ? advertised_raft.host : http.host, bound_port};
}

std::span<const Setting> serve_settings() {
    return settings;
}

std::string environment_name(std::string_view setting) {
    std::string name = "CAIRN_";
    for (const char c : setting) {
        name.push_back(c == '-' ? '_'
                                : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
    }
    return name;
}

int default_gateway_threads(unsigned cores) {
    if (cores <= 2) {
        return 0;
    }
    return static_cast<int>(std::clamp(cores - 3, 1U, 16U));
}

ParseResult<ServeOptions> make_options(const GivenSettings& given, unsigned cores) {
    ServeOptions options;
    options.gateway_threads = default_gateway_threads(cores);
    for (const Setting& setting : settings) {
        const auto found = given.find(setting.name);
        if (found == given.end()) {
            continue;
        }
        const GivenSetting& value = found->second;
        // A list may be empty (`allowed-host = []` in the file); anything else is one text.
        if (setting.kind != SettingKind::list && value.texts.size() != 1) {
            return parse_error(value.source + ": given more than once");
        }
        if (std::string objection = setting.apply(value.texts, options); !objection.empty()) {
            return parse_error(value.source + ": " + objection);
        }
    }
    options.raft_given = given.contains("raft");
    if (options.initial_cluster && !options.raft_given) {
        const auto self =
            std::ranges::find(*options.initial_cluster, options.id, &InitialMember::id);
        if (self != options.initial_cluster->end()) {
            options.raft = self->raft;
        }
    }
    if (std::string objection = objection_to(options); !objection.empty()) {
        return parse_error(std::move(objection));
    }
    return options;
}

}  // namespace cairn::server
