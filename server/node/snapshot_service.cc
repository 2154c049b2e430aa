#include "server/node/snapshot_service.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "fsm/snapshot.h"

namespace cairn::server {

namespace {

// What an entry of the log costs beside its payload, about.
constexpr std::size_t entry_memory_bytes = 128;

}  // namespace

SnapshotService::SnapshotService(raft::Node& node, raft::Storage& storage,
                                 fsm::StateMachine& state_machine, SnapshotRunner& runner,
                                 const SnapshotLimits& limits, std::uint64_t cluster_id,
                                 Install install, std::function<void()> request_turn)
    : node_(node),
      storage_(storage),
      state_machine_(state_machine),
      runner_(runner),
      limits_(limits),
      cluster_id_(cluster_id),
      install_(std::move(install)),
      request_turn_(std::move(request_turn)),
      last_index_(node.core().log().base().index),
      log_bytes_due_(limits.log_bytes_max) {}

void SnapshotService::turn(std::int64_t now_ns) {
    now_ns_ = now_ns;
    maybe_begin();
    write_slices();
    tend_sending();
}

void SnapshotService::take(Taken done) {
    if (state_machine_.applied_index() == last_index_) {
        done(last_index_, {});  // there is nothing newer to take
        return;
    }
    if (waiting_.size() >= limits_.askers_max) {
        done(0, "too many wait for a snapshot");
        return;
    }
    waiting_.push_back(std::move(done));
    retry_at_ns_ = 0;
    request_turn_();
}

void SnapshotService::maybe_begin() {
    const raft::Index applied = state_machine_.applied_index();
    if (!taking_ && !waiting_.empty() && applied <= last_index_) {
        answer_waiting(last_index_, {});  // one came from the leader meanwhile
    }
    const raft::Log& log = node_.core().log();
    // A node that joined and hasn't got its first configuration yet: a snapshot is of one.
    const bool has_members = !node_.core().configurations().at(applied).voters.empty();
    const bool due = has_members && (applied >= last_index_ + limits_.entries_between ||
                                     log.bytes() > log_bytes_due_ || !waiting_.empty());
    if (due && applied > last_index_ && !taking_ && now_ns_ >= retry_at_ns_) {
        begin();
    }
}

void SnapshotService::begin() {
    const raft::LogPosition position =
        node_.core().log().position_at(state_machine_.applied_index());
    auto taking = std::make_shared<Taking>();
    taking->began_ns = now_ns_;
    taking->meta.cluster_id = cluster_id_;
    taking->meta.group = node_.core().options().group;
    taking->meta.last_included_index = position.index;
    taking->meta.last_included_term = position.term;
    taking->meta.last_included_stamp_ns = position.stamp_ns;
    taking->meta.configuration = node_.core().configurations().at(position.index);
    taking_ = taking;
    const bool started = run_taking(
        [taking](raft::SnapshotStore& store) {
            return store.writer().create(taking->meta).error();
        },
        [] {});
    if (!started) {
        taking_ = nullptr;  // much waits; the next turn tries again
        return;
    }
    state_machine_.begin_snapshot();
}

bool SnapshotService::run_taking(
    std::function<boost::system::error_code(raft::SnapshotStore&)> work,
    std::function<void()> done) {
    const std::shared_ptr<Taking> taking = taking_;
    auto outcome = std::make_shared<std::string>();
    return runner_.run(
        [taking, outcome, work = std::move(work)](raft::SnapshotStore& store) {
            if (taking->job_error.empty()) {
                if (const boost::system::error_code error = work(store)) {
                    taking->job_error = error.message();
                }
            }
            *outcome = taking->job_error;
        },
        [taking, outcome, done = std::move(done)] {
            taking->error = *outcome;
            done();
        });
}

// As much as may wait for the disk, a slice a turn, so that no turn takes long.
void SnapshotService::write_slices() {
    if (!taking_) {
        return;
    }
    if (!taking_->error.empty()) {
        finish_taking(taking_->error);
        return;
    }
    if (taking_->read_all || taking_->unwritten_bytes > limits_.unwritten_bytes_max) {
        return;  // done() asks for another turn
    }
    auto slice = std::make_shared<std::string>();
    const bool more = state_machine_.read_snapshot(limits_.slice_bytes, *slice);
    const std::size_t bytes = slice->size();
    if (bytes == 0 && more) {
        request_turn_();  // much was passed over; that is no work for the disk
        return;
    }
    const std::shared_ptr<Taking> taking = taking_;
    taking->unwritten_bytes += bytes;
    taking->bytes += bytes;
    const bool queued = run_taking(
        [slice](raft::SnapshotStore& store) { return store.writer().append(*slice).error(); },
        [this, taking, bytes] {
            taking->unwritten_bytes -= bytes;
            ++written_slices_;
            request_turn_();
        });
    if (!queued) {
        finish_taking("too much waits for the disk");
        return;
    }
    if (more) {
        request_turn_();
        return;
    }
    taking->read_all = true;
    state_machine_.end_snapshot();
    commit();
}

void SnapshotService::commit() {
    const std::shared_ptr<Taking> taking = taking_;
    const bool queued =
        run_taking([](raft::SnapshotStore& store) { return store.writer().commit().error(); },
                   [this, taking] {
                       if (!taking->abandoned) {
                           finish_taking(taking->error);
                       }
                   });
    if (!queued) {
        finish_taking("too much waits for the disk");
    }
}

void SnapshotService::finish_taking(const std::string& error) {
    const std::shared_ptr<Taking> taking = end_taking();
    if (error.empty()) {
        last_index_ = std::max(last_index_, taking->meta.last_included_index);
        ++figures_.taken;
        figures_.last_bytes = taking->bytes;
        figures_.last_duration_ns = now_ns_ - taking->began_ns;
        spdlog::info("took a snapshot at index {}", last_index_);
        trim_log();
    } else {
        ++figures_.failed;
        spdlog::error("can't take a snapshot: {}", error);
        retry_at_ns_ = now_ns_ + limits_.retry_ns;
        abandon_file();
    }
    answer_waiting(error.empty() ? last_index_ : 0, error);
    request_turn_();
}

std::shared_ptr<SnapshotService::Taking> SnapshotService::end_taking() {
    std::shared_ptr<Taking> taking = std::exchange(taking_, nullptr);
    taking->abandoned = true;
    if (state_machine_.snapshot_in_progress()) {
        state_machine_.end_snapshot();
    }
    return taking;
}

void SnapshotService::abandon_file() {
    // If the queue is full the next snapshot's beginning does it.
    runner_.run([](raft::SnapshotStore& store) { store.writer().abandon(); }, [] {});
}

void SnapshotService::answer_waiting(raft::Index index, const std::string& error) {
    const std::vector<Taken> answered = std::exchange(waiting_, {});
    for (const Taken& done : answered) {
        done(index, error);
    }
}

void SnapshotService::trim_log() {
    const raft::Log& log = node_.core().log();
    raft::Index last = last_index_ - std::min<raft::Index>(last_index_, limits_.entries_kept);
    std::size_t kept_bytes = log.bytes();
    for (raft::Index index = log.first_index(); index <= std::min(last_index_, log.last_index());
         ++index) {
        if (index > last && kept_bytes <= limits_.kept_bytes_max) {
            break;
        }
        kept_bytes -= log.at(index).payload.size();
        last = std::max(last, index);
    }
    const std::size_t log_memory =
        log.bytes() + (log.last_index() - log.base().index) * entry_memory_bytes;
    if (log_memory <= limits_.kept_for_member_bytes_max) {
        last = std::min(last, needed_by_members());
    }
    storage_.release(node_.core().options().group, node_.compact(last));
    // A log that is kept is no reason to take one snapshot after the other.
    const std::size_t growth =
        limits_.log_bytes_max - std::min(limits_.log_bytes_max, limits_.kept_bytes_max);
    log_bytes_due_ = std::max(limits_.log_bytes_max, log.bytes() + growth);
}

// What comes after this is still to be sent to somebody.
raft::Index SnapshotService::needed_by_members() const {
    raft::Index last = last_index_;
    for (const std::shared_ptr<Sending>& sending : sending_) {
        if (now_ns_ - sending->progress_ns <
            (sending->sent_all ? limits_.install_ns : limits_.keep_log_ns)) {
            last = std::min(last, sending->meta.last_included_index);
        }
    }
    for (const raft::Progress& progress : node_.core().progress()) {
        const std::int64_t heard_ns = node_.last_heard_ns(progress.id);
        if (progress.state == raft::Progress::State::replicate && heard_ns != 0 &&
            now_ns_ - heard_ns < limits_.keep_log_ns) {
            last = std::min(last, progress.match_index);
        }
    }
    return last;
}

void SnapshotService::on_wanted(raft::NodeId peer) {
    for (const std::shared_ptr<Sending>& old : sending_) {
        old->over = old->over || old->peer == peer;  // forgotten at the end of the turn
    }
    auto sending = std::make_shared<Sending>();
    sending->peer = peer;
    sending->progress_ns = now_ns_;
    sending->resent_ns = now_ns_;
    sending_.push_back(sending);
    open(sending);
}

void SnapshotService::open(const std::shared_ptr<Sending>& sending) {
    auto failure = std::make_shared<raft::SnapshotFailure>();
    sending->reading = true;
    const bool queued = runner_.run(
        [sending, failure](raft::SnapshotStore& store) {
            sending->reader = store.open_latest(*failure);
        },
        [this, sending, failure] {
            sending->reading = false;
            if (!sending->reader) {
                spdlog::error("can't send a snapshot to node {}: {}", sending->peer,
                              failure->detail);
                sending->failed = true;
            } else {
                sending->meta = sending->reader->meta();
                sending->content = sending->reader->content();
                ++figures_.sent;
                spdlog::info("sending node {} the snapshot at index {} ({} bytes)", sending->peer,
                             sending->meta.last_included_index, sending->content.bytes);
                pump(sending);
            }
            request_turn_();
        });
    if (!queued) {
        sending->failed = true;
    }
}

void SnapshotService::pump(const std::shared_ptr<Sending>& sending) {
    // What is sent again may be what was acknowledged before.
    const bool window_full =
        sending->sent_offset >= sending->acknowledged_offset + limits_.window_bytes;
    if (sending->over || sending->failed || sending->reading || window_full ||
        sending->sent_offset >= sending->content.bytes) {
        return;
    }
    const std::uint64_t offset = sending->sent_offset;
    auto bytes = std::make_shared<std::string>();
    auto error = std::make_shared<std::string>();
    sending->reading = true;
    const bool queued = runner_.run(
        [sending, offset, bytes, error, size = limits_.chunk_bytes](raft::SnapshotStore&) {
            if (const auto read = sending->reader->read(offset, size, *bytes); !read) {
                *error = sending->reader->damage().empty() ? read.error().message()
                                                           : sending->reader->damage();
            }
        },
        [this, sending, offset, bytes, error] {
            sending->reading = false;
            if (!error->empty() || bytes->empty()) {
                spdlog::error("can't read the snapshot for node {}: {}", sending->peer, *error);
                sending->failed = true;
                return;
            }
            send_chunk(sending, offset, *bytes);
        });
    if (!queued) {
        sending->reading = false;
    }
}

void SnapshotService::send_chunk(const std::shared_ptr<Sending>& sending, std::uint64_t offset,
                                 const std::string& bytes) {
    if (sending->over || sending->failed || !node_.core().is_leader()) {
        return;
    }
    if (offset != sending->sent_offset) {
        pump(sending);  // rewound or moved on meanwhile
        return;
    }
    raft::InstallSnapshot chunk;
    chunk.last_included = {sending->meta.last_included_index, sending->meta.last_included_term,
                           sending->meta.last_included_stamp_ns};
    chunk.configuration = sending->meta.configuration;
    chunk.content_bytes = sending->content.bytes;
    chunk.content_crc = sending->content.crc;
    chunk.offset = offset;
    chunk.data = raft::Payload::copy_of(bytes);
    if (!node_.send_snapshot_chunk(sending->peer, std::move(chunk))) {
        sending->failed = true;  // not this node's to send, or not needed any more
        return;
    }
    sending->sent_offset += bytes.size();
    sending->sent_all = sending->sent_all || sending->sent_offset == sending->content.bytes;
    pump(sending);
    request_turn_();  // flushes
}

void SnapshotService::on_reply(const raft::InstallSnapshotReply& reply) {
    for (const std::shared_ptr<Sending>& sending : sending_) {
        if (sending->peer != reply.header.from ||
            sending->meta.last_included_index != reply.last_included_index || sending->over ||
            reply.next_offset > sending->content.bytes) {
            continue;
        }
        // A member that begins anew again and again doesn't get on.
        if (reply.next_offset > sending->furthest_offset) {
            sending->furthest_offset = reply.next_offset;
            sending->progress_ns = now_ns_;
            sending->resent_ns = now_ns_;
        }
        // It may have begun anew: what it wants next counts, not what it once had.
        sending->sent_all = sending->sent_all && reply.next_offset >= sending->acknowledged_offset;
        sending->acknowledged_offset = reply.next_offset;
        sending->sent_offset = std::max(sending->sent_offset, reply.next_offset);
        pump(sending);
    }
}

// Sends again what seems lost, and ends what has no sense any more.
void SnapshotService::tend_sending() {
    for (const std::shared_ptr<Sending>& sending : sending_) {
        if (sending->over) {
            continue;  // another has taken its place
        }
        const raft::Progress* progress = nullptr;
        for (const raft::Progress& one : node_.core().progress()) {
            progress = one.id == sending->peer ? &one : progress;
        }
        const bool wanted =
            progress != nullptr && progress->state == raft::Progress::State::snapshot;
        if (!wanted) {
            sending->over = true;  // it has it, or this node doesn't lead any more
            continue;
        }
        const bool stuck = now_ns_ - sending->progress_ns >
                           (sending->sent_all ? limits_.install_ns : limits_.give_up_ns);
        if (now_ns_ - sending->resent_ns <= limits_.resend_ns) {
            continue;
        }
        sending->resent_ns = now_ns_;
        if (sending->failed || stuck) {
            sending->over = true;
            node_.snapshot_failed(sending->peer);
            continue;
        }
        // Also when everything was sent: the last chunk, or its answer, may be what was lost.
        const std::uint64_t last_byte =
            sending->content.bytes - std::min<std::uint64_t>(sending->content.bytes, 1);
        sending->sent_offset = std::min(sending->acknowledged_offset, last_byte);
        pump(sending);
    }
    const bool ended =
        std::erase_if(sending_, [this](std::shared_ptr<Sending>& sending) {
            if (!sending->over) {
                return false;
            }
            // Files are closed where they are read. If the queue is full, here.
            runner_.run([sending](raft::SnapshotStore&) { sending->reader = {}; }, [] {});
            return true;
        }) > 0;
    if (ended && node_.core().log().base().index + limits_.entries_kept < last_index_) {
        trim_log();
    }
}

void SnapshotService::on_chunk(const raft::InstallSnapshot& chunk) {
    if (receiving_ >= limits_.received_chunks_max) {
        return;  // more than a sender's window: what is dropped comes again
    }
    raft::SnapshotMeta meta;
    meta.cluster_id = cluster_id_;
    meta.group = node_.core().options().group;
    meta.last_included_index = chunk.last_included.index;
    meta.last_included_term = chunk.last_included.term;
    meta.last_included_stamp_ns = chunk.last_included.stamp_ns;
    meta.configuration = chunk.configuration;
    auto received = std::make_shared<Received>();
    const bool queued =
        runner_.run([meta, chunk, received](
                        raft::SnapshotStore& store) { receive(store, meta, chunk, *received); },
                    [this, chunk, received] {
                        --receiving_;
                        on_received(chunk, *received);
                    });
    receiving_ += queued ? 1 : 0;
}

// On the snapshot thread.
void SnapshotService::receive(raft::SnapshotStore& store, const raft::SnapshotMeta& meta,
                              const raft::InstallSnapshot& chunk, Received& received) {
    raft::SnapshotReceiver& receiver = store.receiver();
    const auto wanted = receiver.begin(meta, {chunk.content_bytes, chunk.content_crc});
    if (!wanted) {
        received.error = wanted.error().message();
        return;
    }
    const auto next = receiver.accept(chunk.offset, chunk.data.view());
    if (!next) {
        received.error = next.error().message();
        return;
    }
    received.next_offset = *next;
    if (!receiver.is_complete()) {
        return;
    }
    if (const auto finished = receiver.finish(); !finished) {
        received.error = finished.error().message();
        received.next_offset = 0;  // nothing of it is left
        return;
    }
    received.next_offset = 0;
    received.machine = load_state_machine(store, received.error);
}

void SnapshotService::on_received(const raft::InstallSnapshot& chunk, Received& received) {
    if (!received.error.empty()) {
        spdlog::error("can't take the leader's snapshot at index {}: {}", chunk.last_included.index,
                      received.error);
    }
    if (!received.machine) {
        node_.snapshot_received(chunk.last_included.index, received.next_offset);
        request_turn_();
        return;
    }
    bool log_replaced = false;
    // Also when this node has come as far by other means, there is a newer snapshot on disk now.
    last_index_ = std::max(last_index_, chunk.last_included.index);
    if (!node_.installed(chunk.last_included, chunk.configuration, log_replaced)) {
        return;
    }
    if (taking_) {
        end_taking();  // this one is newer
        abandon_file();
        answer_waiting(last_index_, {});
    }
    const raft::GroupId group = node_.core().options().group;
    // First, also where the rest is given up: an append that waits for room on the disk goes before
    // the new beginning, and what the snapshot includes may be all that can make room for it.
    storage_.release(group, chunk.last_included.index + 1);
    if (log_replaced) {
        storage_.reset_log(group, chunk.last_included.index + 1);
    }
    ++figures_.installed;
    spdlog::info("installed the leader's snapshot at index {}", chunk.last_included.index);
    // Destroying a large state takes its time, so not here.
    auto old = std::make_shared<fsm::StateMachine>(install_(std::move(*received.machine)));
    runner_.run([old = std::move(old)](raft::SnapshotStore&) {}, [] {});
    request_turn_();
}

std::optional<fsm::StateMachine> load_state_machine(raft::SnapshotStore& store,
                                                    std::string& error) {
    raft::SnapshotFailure failure;
    const std::unique_ptr<raft::SnapshotReader> reader = store.open_latest(failure);
    if (!reader) {
        error = failure.detail;
        return std::nullopt;
    }
    return load_state_machine(*reader, error);
}

std::optional<fsm::StateMachine> load_state_machine(raft::SnapshotReader& reader,
                                                    std::string& error) {
    constexpr std::size_t piece_bytes = 1U << 20;
    fsm::SnapshotLoader loader;
    std::string piece;
    for (std::uint64_t offset = 0; offset < reader.content_bytes(); offset += piece.size()) {
        if (const auto read = reader.read(offset, piece_bytes, piece); !read) {
            error = reader.damage().empty() ? read.error().message() : reader.damage();
            return std::nullopt;
        }
        if (!loader.feed(piece)) {
            break;
        }
    }
    std::optional<fsm::StateMachine> state = loader.finish(error);
    if (state && state->applied_index() != reader.meta().last_included_index) {
        error = "it holds the state of another index than it says";
        return std::nullopt;
    }
    return state;
}

}  // namespace cairn::server
