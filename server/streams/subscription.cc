#include "server/streams/subscription.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "server/base/clock.h"
#include "server/streams/stream_message.h"

namespace cairn::server {
namespace {

// Leaves of a replay the last event of each name, in order: what a watch has to say.
void keep_newest_per_name(std::vector<fsm::Event>& replay) {
    std::unordered_set<std::string_view, fsm::NameHash> names;
    std::vector<bool> newest(replay.size());
    for (std::size_t i = replay.size(); i-- > 0;) {
        newest[i] = names.insert(replay[i].name).second;
    }
    names.clear();  // its views don't survive the moves
    std::size_t kept = 0;
    for (std::size_t i = 0; i < replay.size(); ++i) {
        if (newest[i]) {
            if (kept != i) {
                replay[kept] = std::move(replay[i]);
            }
            ++kept;
        }
    }
    replay.resize(kept);
}

}  // namespace

Subscription::Subscription(StreamRequest request, const StreamLimits& limits,
                           StreamStatistics& statistics)
    : request_(std::move(request)),
      limits_(limits),
      statistics_(statistics),
      cursor_(request_.cursor) {}

Subscription::~Subscription() {
    count_bytes(0, own_bytes_);
}

void Subscription::start(StreamOpen& answer) {
    const fsm::Cursor applied{answer.applied_index};
    utc_offset_ns_ = answer.utc_offset_ns;
    state_ = State::open;
    seen_ = request_.cursor ? std::max(*request_.cursor, applied) : applied;
    noted_ = applied;
    if (!is_watch() && !request_.is_continued) {
        owed_.emplace_back(Subscribed{request_.cursor.value_or(applied)});
    }
    if (!request_.cursor) {
        if (is_watch()) {
            owe_present(answer.present, nullptr, applied);
        }
    } else if (answer.gap) {
        // Until the last of the present values is sent, resuming has to begin anew.
        statistics_.gaps.add();
        const bool nothing_follows = answer.present.empty() && request_.prefix;
        owed_.emplace_back(Gap{nothing_follows ? applied : *request_.cursor});
        owe_present(answer.present, &*request_.cursor, applied);
    } else {
        if (answer.replay.size() >= replay_max()) {
            state_ = State::overflowed;
        }
        if (is_watch()) {
            keep_newest_per_name(answer.replay);
        }
        for (fsm::Event& event : answer.replay) {
            owed_.emplace_back(Replayed{std::move(event), 0});
        }
    }
    if (owed_.empty() && !request_.is_continued) {
        owed_.emplace_back(Unchanged{seen_});
    }
    count_owed();
    signal();
}

// The present values carry the cursor `all_but_last`, or are ordered such that each one's own index
// is a place to resume from; the last one carries `last`.
void Subscription::owe_present(std::vector<fsm::ListItem>& present, const fsm::Cursor* all_but_last,
                               const fsm::Cursor& last) {
    if (present.empty() && request_.prefix) {
        return;
    }
    first_present_ = owed_.size();
    is_present_by_index_ = all_but_last == nullptr;
    if (present.empty()) {
        owed_.emplace_back(Present{{request_.name, {}}, last, 0});
        return;
    }
    if (all_but_last == nullptr) {
        std::sort(present.begin(), present.end(),
                  [](const auto& a, const auto& b) { return a.value.index < b.value.index; });
    }
    for (fsm::ListItem& item : present) {
        const fsm::Cursor own{item.value.index};
        const bool is_last = &item == &present.back();
        const fsm::Cursor place = is_last ? last : all_but_last != nullptr ? *all_but_last : own;
        owed_.emplace_back(Present{std::move(item), place, 0});
    }
}

void Subscription::fail(Failure failure) {
    state_ = State::failed;
    failure_ = failure;
    signal();
}

SharedMessage Subscription::render(const Owed& owed, fsm::Cursor& place) const {
    const StreamEncoding encoding = request_.encoding;
    if (const auto* replayed = std::get_if<Replayed>(&owed)) {
        place = fsm::Cursor::after(replayed->event);
        return is_watch() ? watch_message(replayed->event, utc_offset_ns_, encoding)
                          : event_message(replayed->event, utc_offset_ns_, encoding);
    }
    if (const auto* present = std::get_if<Present>(&owed)) {
        place = present->place;
        return present_message(present->item, utc_offset_ns_, place, encoding);
    }
    if (const auto* gap = std::get_if<Gap>(&owed)) {
        place = gap->place;
        return gap_message(place, encoding);
    }
    if (const auto* unchanged = std::get_if<Unchanged>(&owed)) {
        place = unchanged->place;
        return progress_message(place, encoding);
    }
    place = std::get<Subscribed>(owed).place;
    return subscribed_message(place, encoding);
}

SharedMessage Subscription::next() {
    SharedMessage message;
    if (owed_taken_ < owed_.size()) {
        fsm::Cursor place;
        Owed& owed = owed_[owed_taken_++];
        message = render(owed, place);
        kept_bytes_ -= kept_bytes_of(owed);
        owed = Gap{};  // keeps no value alive
        if (owed_taken_ == owed_.size()) {
            forget_owed();
        }
        cursor_ = place;
    } else if (!queue_.empty()) {
        Queued& front = queue_.front();
        if (!front.name.empty()) {
            newest_.erase(front.name);
        }
        queue_bytes_ -= front.message->size();
        count_bytes(0, front.own_bytes());
        message = std::move(front.message);
        count_lag(front.applied_ns);
        cursor_ = front.place;
        queue_.pop_front();
    }
    statistics_.messages.add(message ? 1 : 0);
    active_ = active_ || message;
    return message;
}

void Subscription::push(std::string_view name, SharedMessage message, const fsm::Cursor& place,
                        std::int64_t applied_ns) {
    seen_ = place;
    const bool conflates_names = is_watch() && request_.prefix;
    if (is_watch() && !request_.prefix) {
        const bool had_value = !queue_.empty() && queue_.back().applied_ns != 0;
        statistics_.conflated.add(had_value ? 1 : 0);
        clear_queue();
    } else if (conflates_names) {
        // A newer value goes to the end, not to the older one's place: cursors never step back.
        const auto found = newest_.find(name);
        if (found != newest_.end()) {
            const auto older = found->second;
            queue_bytes_ -= older->message->size();
            count_bytes(0, older->own_bytes());
            newest_.erase(found);
            queue_.erase(older);
            statistics_.conflated.add();
        }
    }
    append(conflates_names ? name : std::string_view(), std::move(message), place, applied_ns);
}

// Called when the message is taken, to be written at once.
void Subscription::count_lag(std::int64_t applied_ns) {
    if (applied_ns != 0) {
        statistics_.lag.observe(system_clock().steady_ns() - applied_ns);
    }
}

void Subscription::push_progress(SharedMessage message, const fsm::Cursor& place) {
    seen_ = place;
    append({}, std::move(message), place, 0);
}

void Subscription::append(std::string_view name, SharedMessage message, const fsm::Cursor& place,
                          std::int64_t applied_ns) {
    const std::size_t count_max =
        is_watch() ? limits_.watch_queue_names_max : limits_.events_queue_messages_max;
    const std::size_t bytes_max =
        is_watch() ? limits_.watch_queue_bytes_max : limits_.events_queue_bytes_max;
    // One message always fits, whatever its size.
    if (!queue_.empty() &&
        (queue_.size() >= count_max || queue_bytes_ + message->size() > bytes_max)) {
        overflow();
        return;
    }
    queue_bytes_ += message->size();
    queue_.push_back(Queued{std::string(name), std::move(message), place, applied_ns});
    count_bytes(queue_.back().own_bytes(), 0);
    if (!name.empty()) {
        newest_.emplace(queue_.back().name, std::prev(queue_.end()));
    }
    signal();
}

void Subscription::lose_history() {
    if (state_ == State::open) {
        history_lost_ = true;
        overflow();
    }
}

void Subscription::give_up() {
    const std::size_t left = owed_.size() - owed_taken_;
    if (state_ == State::overflowed && left <= 1) {
        return;  // it has nothing more to give
    }
    if (left > 1 && first_present_ < owed_.size()) {
        statistics_.overflowed.add();
        forget_owed();
        clear_queue();
        fail(Failure::overloaded);
        return;
    }
    if (owed_taken_ < owed_.size()) {
        std::vector<Owed> next;
        next.push_back(std::move(owed_[owed_taken_]));
        forget_owed();
        owed_ = std::move(next);
        kept_bytes_ = kept_bytes_of(owed_.front());
        count_owed();
    }
    overflow();
}

void Subscription::overflow() {
    statistics_.overflowed.add();
    state_ = State::overflowed;
    clear_queue();
    signal();
}

void Subscription::clear_queue() {
    newest_.clear();
    queue_.clear();
    queue_bytes_ = 0;
    count_bytes(owed_bytes_, own_bytes_);
}

// In a list, and by its name.
std::size_t Subscription::Queued::own_bytes() const {
    constexpr std::size_t list_bytes = sizeof(Queued) + 2 * sizeof(void*);
    constexpr std::size_t by_name_bytes = 8 * sizeof(void*);
    return name.empty() ? list_bytes : list_bytes + by_name_bytes + name.size();
}

void Subscription::count_bytes(std::size_t added, std::size_t removed) {
    own_bytes_ += added - removed;
    raft::Counter& all = statistics_.queued_bytes;
    all.set(all.value() + added - removed);
}

// Not the values, which are the state machine's or the history's at first: see KeptValues.
void Subscription::count_owed() {
    owed_bytes_ = owed_.size() * sizeof(Owed);
    for (const Owed& owed : owed_) {
        if (const auto* replayed = std::get_if<Replayed>(&owed)) {
            owed_bytes_ += replayed->event.name.size();
        } else if (const auto* present = std::get_if<Present>(&owed)) {
            owed_bytes_ += present->item.name.size();
        }
    }
    count_bytes(owed_bytes_, 0);
}

// With its memory: most streams have nothing to say most of the time.
void Subscription::forget_owed() {
    std::vector<Owed>().swap(owed_);
    owed_taken_ = next_dropped_ = 0;
    first_present_ = SIZE_MAX;
    kept_bytes_ = 0;
    count_bytes(0, std::exchange(owed_bytes_, 0));
}

std::size_t Subscription::kept_bytes_of(const Owed& owed) {
    if (const auto* replayed = std::get_if<Replayed>(&owed)) {
        return replayed->kept_bytes;
    }
    const auto* present = std::get_if<Present>(&owed);
    return present == nullptr ? 0 : present->kept_bytes;
}

void Subscription::keep(fsm::Value& value, std::size_t& kept_bytes, KeptValues& kept) {
    if (value.bytes) {
        value.bytes = kept.keep(value.bytes);
        kept_bytes += value.bytes->size();
        kept_bytes_ += value.bytes->size();
    }
}

void Subscription::keep(Replayed& replayed, KeptValues& kept) {
    if (replayed.kept_bytes == 0) {
        keep(replayed.event.value, replayed.kept_bytes, kept);
        if (replayed.event.prev_value) {
            keep(*replayed.event.prev_value, replayed.kept_bytes, kept);
        }
    }
}

void Subscription::note_replaced(const fsm::Event& event, KeptValues& kept) {
    noted_ = fsm::Cursor::after(event);
    if (event.kind == fsm::Event::Kind::created || first_present_ >= owed_.size()) {
        return;
    }
    const fsm::Value& old = event.prev_value ? *event.prev_value : event.value;
    const std::size_t first = std::max(first_present_, owed_taken_);
    const auto found = std::partition_point(
        owed_.begin() + static_cast<std::ptrdiff_t>(first), owed_.end(), [&](const Owed& owed) {
            const fsm::ListItem& item = std::get<Present>(owed).item;
            return is_present_by_index_ ? item.value.index < old.index : item.name < event.name;
        });
    if (found == owed_.end()) {
        return;
    }
    Present& present = std::get<Present>(*found);
    if (present.item.value.index == old.index && present.item.name == event.name &&
        present.kept_bytes == 0) {
        keep(present.item.value, present.kept_bytes, kept);
    }
}

void Subscription::note_dropped(const fsm::Cursor& oldest, KeptValues& kept) {
    next_dropped_ = std::max(next_dropped_, owed_taken_);
    for (; next_dropped_ < owed_.size(); ++next_dropped_) {
        auto* replayed = std::get_if<Replayed>(&owed_[next_dropped_]);
        if (replayed != nullptr && !(fsm::Cursor::after(replayed->event) <= oldest)) {
            return;
        }
        if (replayed != nullptr) {
            keep(*replayed, kept);
        }
    }
}

void Subscription::note_all_dropped(KeptValues& kept) {
    for (std::size_t i = owed_taken_; i < owed_.size(); ++i) {
        if (auto* replayed = std::get_if<Replayed>(&owed_[i])) {
            keep(*replayed, kept);
        } else if (auto* present = std::get_if<Present>(&owed_[i]);
                   present != nullptr && present->kept_bytes == 0) {
            keep(present->item.value, present->kept_bytes, kept);
        }
    }
}

void Subscription::signal() {
    active_ = true;
    if (on_ready) {
        on_ready();
    }
}

}  // namespace cairn::server
