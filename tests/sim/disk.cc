#include "tests/sim/disk.h"

#include <algorithm>
#include <utility>

#include "server/node/value_group.h"

namespace cairn::sim {

namespace {

constexpr std::int64_t full_retry_ns = 200 * ms;
constexpr std::size_t jobs_max = 1024;
constexpr std::size_t record_overhead_bytes = 80;

}  // namespace

std::uint64_t digest_of(const raft::Entry& entry) {
    std::uint64_t digest = hash_of(entry.payload.view());
    for (const std::uint64_t word :
         {entry.index, entry.term, static_cast<std::uint64_t>(entry.stamp_ns),
          static_cast<std::uint64_t>(entry.kind)}) {
        digest = mix(digest ^ word);
    }
    return digest;
}

bool Durable::has(raft::Index index, raft::Term term) const {
    if (index <= snapshot_index) {
        return true;
    }
    const auto found = entries.find(index);
    return found != entries.end() && found->second.term == term;
}

void Durable::take(const raft::WalAppend& part) {
    last_append_bytes += 2 * record_overhead_bytes;
    if (part.hard_state) {
        hard_state = *part.hard_state;
    }
    if (part.log_start) {
        entries.clear();
    }
    for (const raft::Entry& entry : part.entries) {
        entries.erase(entries.lower_bound(entry.index), entries.end());
        entries[entry.index] = {entry.term, digest_of(entry)};
        last_append_bytes += entry.payload.size() + record_overhead_bytes;
    }
}

SimStorage::SimStorage(std::unique_ptr<raft::Wal> wal, Durable& durable, Trace& trace,
                       const Swarm& swarm, Random random, Schedule schedule,
                       OnPersisted on_persisted, DiskFailure& failure)
    : wal_(std::move(wal)),
      durable_(durable),
      trace_(trace),
      swarm_(swarm),
      random_(random),
      schedule_(std::move(schedule)),
      on_persisted_(std::move(on_persisted)),
      failure_(failure) {
    pump();
}

void SimStorage::submit(raft::PersistBatch batch) {
    if (reports_too_early_) {
        schedule_(0, [this, sequence = batch.sequence] { on_persisted_(sequence); });
    }
    jobs_.emplace_back(std::move(batch));
    pump();
}

void SimStorage::release(raft::GroupId group, raft::Index first_needed) {
    jobs_.emplace_back(Release{group, first_needed});
    pump();
}

void SimStorage::reset_log(raft::GroupId group, raft::Index log_start) {
    jobs_.emplace_back(Reset{group, log_start});
    pump();
}

std::int64_t SimStorage::latency() {
    std::int64_t latency_ns = swarm_.write_ns / 2 + random_.around(swarm_.write_ns / 2);
    if (random_.chance(swarm_.slow_write_of_10000)) {
        latency_ns += random_.around(200 * ms);
    }
    return latency_ns + std::exchange(stall_ns_, 0);
}

void SimStorage::stall(std::int64_t until_ns, std::int64_t now_ns) {
    stall_ns_ = std::max<std::int64_t>(until_ns - now_ns, 0);
}

void SimStorage::pump() {
    if (!busy_ && !failed_ && (!jobs_.empty() || reserve_wanted_)) {
        gather_parts();
        begin(latency());
    }
}

void SimStorage::begin(std::int64_t delay_ns) {
    busy_ = true;
    schedule_(delay_ns, [this] { work(); });
}

// The jobs at the head that one append takes; none when a release comes first.
void SimStorage::gather_parts() {
    parts_.clear();
    for (const Job& job : jobs_) {
        raft::WalAppend part;
        if (const auto* batch = std::get_if<raft::PersistBatch>(&job)) {
            part.group = batch->group;
            part.hard_state = batch->hard_state;
            part.entries = batch->entries;
        } else if (const auto* reset = std::get_if<Reset>(&job)) {
            part.group = reset->group;
            part.log_start = reset->log_start;
        } else {
            break;
        }
        parts_.push_back(part);
    }
    taken_ = parts_.size();
}

void SimStorage::work() {
    busy_ = false;
    if (jobs_.empty()) {
        fill_reserve();
    } else if (auto* release = std::get_if<Release>(&jobs_.front())) {
        if (!release_now(*release)) {
            return;
        }
        jobs_.pop_front();
    } else if (!append()) {
        if (!failed_) {
            release_early();
            gather_parts();
            begin(full_retry_ns);
        }
        return;
    }
    pump();
}

bool SimStorage::append() {
    const raft::IoResult<void> appended = wal_->append(parts_);
    if (!appended) {
        if (wal_->failed()) {
            failed_ = true;
            failure_.on_disk_failed();
        } else {
            note_full(true);
        }
        return false;
    }
    durable_.last_append_bytes = 0;
    raft::Sequence newest = 0;
    for (const raft::WalAppend& part : parts_) {
        durable_.take(part);
    }
    for (std::size_t i = 0; i < taken_; ++i) {
        if (const auto* batch = std::get_if<raft::PersistBatch>(&jobs_.front())) {
            newest = batch->sequence;
        }
        jobs_.pop_front();
    }
    fill_reserve();
    if (newest != 0 && !failed_ && !reports_too_early_) {
        schedule_(random_.between(0, 20 * us), [this, newest] { on_persisted_(newest); });
    }
    return !failed_;
}

bool SimStorage::release_now(Release& release) {
    const raft::IoResult<void> released = wal_->release(release.group, release.first_needed);
    if (!released) {
        failed_ = true;
        failure_.on_disk_failed();
        return false;
    }
    durable_.entries.erase(durable_.entries.begin(),
                           durable_.entries.lower_bound(release.first_needed));
    release.first_needed = 0;
    return true;
}

void SimStorage::release_early() {
    for (Job& job : jobs_) {
        if (std::holds_alternative<Reset>(job)) {
            return;
        }
        if (auto* release = std::get_if<Release>(&job); release != nullptr) {
            if (!release_now(*release)) {
                return;
            }
        }
    }
}

void SimStorage::fill_reserve() {
    const raft::IoResult<bool> made = wal_->prepare_reserve(8U << 10);
    if (wal_->failed()) {
        failed_ = true;
        failure_.on_disk_failed();
        return;
    }
    reserve_wanted_ = made && !*made;
    if (!made) {
        note_full(true);
        schedule_(full_retry_ns, [this] {
            reserve_wanted_ = true;
            pump();
        });
    } else if (*made) {
        note_full(false);
    }
}

void SimStorage::note_full(bool full) {
    if (full && !full_) {
        trace_.sometimes("disk full");
    }
    full_ = full;
}

void SimStorage::run_what_is_under_way() {
    if (busy_ && !failed_ && !jobs_.empty() && taken_ > 0) {
        (void)wal_->append(parts_);
    }
}

bool SimRunner::run(std::function<void(raft::SnapshotStore&)> work, std::function<void()> done) {
    if (jobs_.size() >= jobs_max) {
        return false;
    }
    jobs_.push_back({std::move(work), std::move(done)});
    pump();
    return true;
}

void SimRunner::pump() {
    if (busy_ || jobs_.empty()) {
        return;
    }
    busy_ = true;
    schedule_(swarm_.write_ns / 2 + random_.around(swarm_.write_ns), [this] {
        busy_ = false;
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        job.work(*store_);
        if (const raft::SnapshotFile* latest = store_->latest()) {
            durable_.snapshot_index =
                std::max(durable_.snapshot_index, latest->meta.last_included_index);
        }
        schedule_(0, job.done);
        pump();
    });
}

void SimRunner::run_what_is_under_way() {
    if (busy_) {
        jobs_.front().work(*store_);
    }
}

}  // namespace cairn::sim
