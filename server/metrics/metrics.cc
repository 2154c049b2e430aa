#include "server/metrics/metrics.h"

#include <array>
#include <sstream>

#include <prometheus/text_serializer.h>

#include "server/api/router.h"
#include "server/metrics/metric_families.h"

namespace cairn::server {
namespace {

constexpr auto failure_names =
    std::to_array<std::string_view>({"ok", "no_leader", "overloaded", "dropped", "interrupted",
                                     "unknown", "timeout", "draining", "disk_full"});
static_assert(failure_names.size() == failure_count);
constexpr auto consistency_names =
    std::to_array<std::string_view>({"linearizable", "lease", "local"});
constexpr auto stream_kind_names = std::to_array<std::string_view>({"watch", "events"});
constexpr auto status_classes =
    std::to_array<std::string_view>({"1xx", "2xx", "3xx", "4xx", "5xx"});
static_assert(status_classes.size() == status_class_count);
constexpr auto role_names =
    std::to_array<std::string_view>({"follower", "pre_candidate", "candidate", "leader"});

double seconds(std::int64_t ns) {
    return static_cast<double>(ns) / ns_per_s;
}

double number(bool yes) {
    return yes ? 1 : 0;
}

// Sums what all gateways have counted.
template <typename Read>
std::uint64_t sum(const GatewayStatisticsList& gateways, Read read) {
    std::uint64_t all = 0;
    for (const auto& gateway : gateways) {
        all += read(*gateway).value();
    }
    return all;
}

void add_raft(const NodeFigures& node, MetricFamilies& out) {
    out.gauge("cairn_node_id", "Id of this node.", node.node);
    out.begin_gauge("cairn_raft_role", "1 for the role that this node has, 0 for the others.");
    for (std::size_t role = 0; role < role_names.size(); ++role) {
        out.add(number(role == static_cast<std::size_t>(node.role)),
                {{"role", std::string(role_names[role])}});
    }
    out.gauge("cairn_raft_is_leader", "Whether this node leads.",
              number(node.role == raft::RoleName::leader));
    out.gauge("cairn_raft_has_leader", "Whether this node knows who leads.",
              number(node.leader != 0));
    out.gauge("cairn_raft_leader_id", "Id of the leader; 0 when none is known.", node.leader);
    out.gauge("cairn_raft_leader_since_timestamp_seconds",
              "When this node learnt who leads; 0 when none is known.",
              seconds(node.leader_since_utc_ns));
    out.gauge("cairn_raft_term", "Current term.", node.term);
    out.gauge("cairn_raft_voters", "Voters of the configuration in force.", node.voters);
    out.gauge("cairn_raft_learners", "Learners of the configuration in force.", node.learners);
    out.gauge("cairn_raft_commit_index", "Index up to which the log is known to be committed.",
              node.commit_index);
    out.gauge("cairn_raft_applied_index", "Index up to which the log is applied here.",
              node.applied_index);
    out.gauge("cairn_raft_last_index", "Last index of the log here.", node.last_index);
    out.gauge("cairn_raft_first_index", "First index that the log here still has.",
              node.first_index);
    out.gauge("cairn_raft_log_memory_bytes", "Payload of the entries of the log in memory.",
              node.log_memory_bytes);
    out.counter("cairn_raft_elections_total", "Elections that this node has begun.",
                node.core.elections_started);
    out.counter("cairn_raft_leaderships_total", "Elections that this node has won.",
                node.core.leaderships);
    out.counter("cairn_raft_leader_changes_total", "Leaders that this node has seen come.",
                node.leader_changes);
    out.counter("cairn_raft_quorum_losses_total",
                "How often this node stopped leading because no majority heard it.",
                node.core.quorum_losses);
    out.counter("cairn_raft_rejected_messages_total",
                "Messages of members that break the protocol and were ignored.",
                node.core.rejected_messages);
    out.counter("cairn_raft_truncations_total",
                "How often entries that were not committed made way for the leader's.",
                node.core.truncations);
    out.counter("cairn_raft_applied_entries_total", "Entries applied.", node.applied_entries);
}

void add_queues(const NodeFigures& node, const GatewayStatisticsList& gateways,
                MetricFamilies& out) {
    const auto streams = [&](auto member) {
        return sum(gateways, [&](const auto& g) -> auto& { return g.streams.*member; });
    };
    const std::array<std::tuple<std::string_view, std::uint64_t, std::uint64_t>, 6> queues{{
        {"writes_queued", node.writes.queued, node.write_limits.held_max},
        {"writes_committing", node.writes.committing, 0},
        {"writes_forwarded", node.writes.forwarded, node.write_limits.forwarded_max},
        {"writes_held_bytes", node.writes.held_bytes, node.write_limits.held_bytes_max},
        {"reads_waiting", node.waiting_reads, node.waiting_reads_max},
        {"stream_bytes", streams(&StreamStatistics::queued_bytes),
         streams(&StreamStatistics::queued_bytes_max)},
    }};
    out.begin_gauge("cairn_queue_depth", "What waits in a queue: requests, or bytes.");
    for (const auto& [name, depth, limit] : queues) {
        out.add(depth, {{"queue", std::string(name)}});
    }
    out.begin_gauge("cairn_queue_limit", "What that queue may hold.");
    for (const auto& [name, depth, limit] : queues) {
        if (limit != 0) {
            out.add(limit, {{"queue", std::string(name)}});
        }
    }
}

void add_work(const NodeFigures& node, MetricFamilies& out) {
    out.histogram("cairn_commit_duration_seconds",
                  "From the proposal of a write to its commit, on the leader.", node.writes.commit);
    out.histogram("cairn_apply_duration_seconds", "Applying what one turn found committed.",
                  node.apply);
    out.begin_counter("cairn_writes_total",
                      "Writes of this node's clients that were answered, by what came of them.");
    for (std::size_t i = 0; i < failure_count; ++i) {
        out.add(node.writes.finished[i], {{"result", std::string(failure_names[i])}});
    }
    out.counter("cairn_forwarded_writes_total",
                "Writes that other nodes passed on to this one and that it answered.",
                node.writes.for_peers);
    out.begin_counter("cairn_reads_total", "Reads of values that were served, by consistency.");
    for (std::size_t i = 0; i < consistency_names.size(); ++i) {
        out.add(node.reads[i], {{"consistency", std::string(consistency_names[i])}});
    }
    out.counter("cairn_failed_reads_total", "Reads that could not be served.", node.failed_reads);
}

void add_state(const NodeFigures& node, MetricFamilies& out) {
    out.gauge("cairn_values", "Values that are set.", node.values);
    out.gauge("cairn_values_bytes", "Their names and bytes.", node.value_bytes);
    out.gauge("cairn_idempotency_keys", "Outcomes kept for Idempotency-Keys.",
              node.idempotency_keys);
    out.gauge("cairn_idempotency_bytes", "Memory of those outcomes.", node.idempotency_bytes);
    out.gauge("cairn_history_events", "Past events kept for streams that resume.",
              node.history_events);
    out.gauge("cairn_history_bytes", "Names and values in those events.", node.history_bytes);
    out.counter("cairn_snapshots_taken_total", "Snapshots taken.", node.snapshots.taken);
    out.counter("cairn_snapshots_failed_total", "Snapshots that could not be taken.",
                node.snapshots.failed);
    out.counter("cairn_snapshots_sent_total", "Snapshots begun to be sent to members.",
                node.snapshots.sent);
    out.counter("cairn_snapshots_installed_total",
                "Snapshots received from a leader and installed.", node.snapshots.installed);
    out.gauge("cairn_snapshot_index", "Index of the newest snapshot; 0 when there is none.",
              node.snapshots.last_index);
    out.gauge("cairn_snapshot_bytes", "Size of the last snapshot that was taken.",
              node.snapshots.last_bytes);
    out.gauge("cairn_snapshot_duration_seconds", "How long taking it took.",
              seconds(node.snapshots.last_duration_ns));
}

void add_disk(const NodeFigures& node, MetricFamilies& out) {
    const raft::DiskStatistics& disk = node.disk;
    out.histogram("cairn_disk_append_duration_seconds", "One write to the log with its fdatasync.",
                  disk.append_durations);
    out.counter("cairn_disk_batches_total", "Batches in those writes.", disk.batches);
    out.counter("cairn_disk_written_bytes_total", "Bytes of records written to the log.",
                disk.log.written_bytes);
    out.gauge("cairn_disk_log_segments", "Segments of the log that hold records.",
              disk.log.segments);
    out.gauge("cairn_disk_log_bytes", "Size of all files of the log, those kept for reuse too.",
              disk.log.file_bytes);
    out.gauge("cairn_disk_full", "Whether there is no room for the next segment.",
              number(disk.disk_full));
    out.gauge("cairn_disk_stalled", "Whether a write has not ended for too long.",
              number(node.disk_stalled));
}

void add_links(const NodeFigures& node, MetricFamilies& out) {
    const auto each = [&](auto add) {
        for (const LinkFigures& link : node.links) {
            add(link, MetricLabels{{"peer", std::to_string(link.status.id)}});
        }
    };
    out.begin_gauge("cairn_peer_round_trip_seconds", "Last round trip of a ping to a member.");
    each([&](const LinkFigures& link, const MetricLabels& labels) {
        if (link.rtt_ns) {
            out.add(seconds(*link.rtt_ns), labels);
        }
    });
    out.begin_gauge("cairn_peer_last_contact_seconds", "Time since a member was last heard.");
    each([&](const LinkFigures& link, const MetricLabels& labels) {
        if (link.last_contact_ns) {
            out.add(seconds(*link.last_contact_ns), labels);
        }
    });
    out.begin_gauge("cairn_peer_heard", "Whether what a member sends arrives here.");
    each([&](const LinkFigures& link, const MetricLabels& labels) {
        if (link.hears) {
            out.add(number(*link.hears), labels);
        }
    });
    out.begin_gauge("cairn_peer_reached",
                    "Whether what is sent to a member arrives there; missing while unknown.");
    each([&](const LinkFigures& link, const MetricLabels& labels) {
        if (link.reaches) {
            out.add(number(*link.reaches), labels);
        }
    });
    out.begin_gauge("cairn_peer_connected", "Whether the connection to a member stands.");
    each([&](const LinkFigures& link, const MetricLabels& labels) {
        out.add(number(link.status.connected), labels);
    });
    const auto status = [&](auto member) {
        each([&](const LinkFigures& link, const MetricLabels& labels) {
            out.add(link.status.*member, labels);
        });
    };
    out.begin_counter("cairn_peer_sent_bytes_total", "Bytes sent to a member.");
    status(&raft::PeerStatus::sent_bytes);
    out.begin_counter("cairn_peer_received_bytes_total", "Bytes received from a member.");
    status(&raft::PeerStatus::received_bytes);
    out.begin_counter("cairn_peer_dropped_frames_total",
                      "Messages to a member that were dropped: no connection, or a full queue.");
    status(&raft::PeerStatus::dropped_frames);
    out.begin_gauge("cairn_peer_queued_bytes", "Bytes that wait to be sent to a member.");
    status(&raft::PeerStatus::queued_bytes);
    out.begin_gauge("cairn_peer_queued_frames", "Messages that wait to be sent to a member.");
    status(&raft::PeerStatus::queued_frames);
}

void add_requests(const GatewayStatisticsList& gateways, MetricFamilies& out) {
    out.begin_histogram("cairn_http_request_duration_seconds",
                        "From the end of a request to its answer, by route, method and status.");
    for (std::size_t route = 0; route < route_count_max; ++route) {
        for (std::size_t method = 0; method < method_names.size(); ++method) {
            for (std::size_t status = 0; status < status_class_count; ++status) {
                raft::DurationFigures all;
                for (const auto& gateway : gateways) {
                    if (const auto* durations = gateway->requests(route, method, status)) {
                        all.add(durations->figures());
                    }
                }
                if (all.count() != 0) {
                    out.add(all, {{"route", std::string(route_name(route))},
                                  {"method", std::string(method_names[method])},
                                  {"status", std::string(status_classes[status])}});
                }
            }
        }
    }
}

void add_gateways(const GatewayStatisticsList& gateways, MetricFamilies& out) {
    add_requests(gateways, out);
    out.begin_counter("cairn_http_problems_total",
                      "Requests that were refused or failed, by the problem's code.");
    for (std::size_t code = 0; code < code_count; ++code) {
        out.add(sum(gateways, [&](const auto& g) -> auto& { return g.problems[code]; }),
                {{"code", std::string(name_of(static_cast<Code>(code)))}});
    }
    const auto total = [&](auto member) {
        return sum(gateways, [&](const auto& g) -> auto& { return g.*member; });
    };
    out.gauge("cairn_http_connections", "Client connections.",
              total(&GatewayStatistics::connections));
    out.counter("cairn_http_connections_accepted_total", "Client connections taken.",
                total(&GatewayStatistics::connections_accepted));
    out.counter("cairn_http_connections_refused_total",
                "Client connections closed at once because there were too many.",
                total(&GatewayStatistics::connections_refused));
    out.gauge("cairn_http_buffered_bytes",
              "Memory of large requests in work and answers not yet taken.",
              total(&GatewayStatistics::buffered_bytes));
    out.counter("cairn_http_received_bytes_total",
                "Bytes received from clients, without what comes over WebSockets.",
                total(&GatewayStatistics::received_bytes));
    const auto streams = [&](auto member) {
        return sum(gateways, [&](const auto& g) -> auto& { return g.streams.*member; });
    };
    out.begin_gauge("cairn_streams", "Open streams by kind and transport.");
    for (std::size_t kind = 0; kind < stream_kind_names.size(); ++kind) {
        for (std::size_t i = 0; i < stream_transport_names.size(); ++i) {
            out.add(sum(gateways, [&](const auto& g) -> auto& { return g.streams.open[kind][i]; }),
                    {{"kind", std::string(stream_kind_names[kind])},
                     {"transport", std::string(stream_transport_names[i])}});
        }
    }
    out.counter("cairn_stream_messages_total", "Messages handed to streams' sockets.",
                streams(&StreamStatistics::messages));
    out.counter("cairn_stream_overflows_total", "Streams that ended because their reader was slow.",
                streams(&StreamStatistics::overflowed));
    out.counter("cairn_stream_gaps_total", "Streams that resumed where nothing is kept any more.",
                streams(&StreamStatistics::gaps));
    out.counter("cairn_stream_conflated_total",
                "Values that a watch left out because a newer one came first.",
                streams(&StreamStatistics::conflated));
    raft::DurationFigures lag;
    for (const auto& gateway : gateways) {
        lag.add(gateway->streams.lag.figures());
    }
    out.histogram("cairn_stream_lag_seconds",
                  "From the application of an event to handing it to a stream's socket.", lag);
}

void add_process(const NodeFigures& node, const ProcessFigures& process, MetricFamilies& out) {
    out.begin_gauge("cairn_build_info", "Always 1; the label says which version this is.");
    out.add(1.0, {{"version", CAIRN_VERSION}});
    out.counter("cairn_access_log_lines_total", "Lines written to the access log.",
                node.access_log_lines);
    out.counter("cairn_access_log_dropped_total",
                "Lines of the access log that were lost: a slow or broken file or pipe.",
                node.access_log_dropped);
    out.gauge("cairn_started_timestamp_seconds", "When this node began to serve.",
              seconds(node.started_utc_ns));
    if (process.cpu_seconds) {
        out.counter("cairn_process_cpu_seconds_total", "Processor time, of user and system.",
                    *process.cpu_seconds);
    }
    out.gauge("cairn_process_resident_memory_bytes", "Memory in use.", process.resident_bytes);
    out.gauge("cairn_process_virtual_memory_bytes", "Address space in use.", process.virtual_bytes);
    out.gauge("cairn_process_open_fds", "Open files and sockets.", process.open_files);
    out.gauge("cairn_process_max_fds", "How many may be open.", process.open_files_max);
    out.gauge("cairn_process_threads", "Threads.", process.threads);
    out.gauge("cairn_process_start_time_seconds", "When the process was started.",
              process.start_time_s);
}

}  // namespace

std::vector<prometheus::MetricFamily> collect_metrics(const NodeFigures& figures,
                                                      const GatewayStatisticsList& gateways,
                                                      const ProcessFigures& process) {
    MetricFamilies out;
    add_raft(figures, out);
    add_work(figures, out);
    add_queues(figures, gateways, out);
    add_state(figures, out);
    add_disk(figures, out);
    add_links(figures, out);
    add_gateways(gateways, out);
    add_process(figures, process, out);
    return out.take();
}

std::string metrics_text(const std::vector<prometheus::MetricFamily>& families) {
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, families);
    return text.str();
}

}  // namespace cairn::server
