#include "server/gateway/body_room.h"

namespace cairn::server {

BodyRoom::Place::State BodyRoom::Place::enter(std::size_t bytes) {
    bytes_ = bytes;
    if (room_.line_.empty() && room_.fits(bytes)) {
        room_.bytes_ += bytes;
        state_ = State::inside;
    } else if (room_.line_.size() < room_.waiting_max_) {
        in_line_ = room_.line_.insert(room_.line_.end(), this);
        state_ = State::waiting;
    }
    return state_;
}

void BodyRoom::Place::leave() {
    const State left = std::exchange(state_, State::none);
    if (left == State::none) {
        return;
    }
    if (left == State::inside) {
        room_.bytes_ -= bytes_;
    } else {
        room_.line_.erase(in_line_);
    }
    room_.let_in();
}

void BodyRoom::let_in() {
    while (!line_.empty() && fits(line_.front()->bytes_)) {
        Place& first = *line_.front();
        line_.pop_front();
        bytes_ += first.bytes_;
        first.state_ = Place::State::inside;
        first.on_room_();
    }
}

}  // namespace cairn::server
