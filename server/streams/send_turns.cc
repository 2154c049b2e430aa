#include "server/streams/send_turns.h"

namespace cairn::server {

void Sender::leave() {
    if (before_ != nullptr) {
        before_->after_ = after_;
        after_->before_ = before_;
        before_ = after_ = nullptr;
    }
}

void SendTurns::line_up(Sender& sender) {
    if (sender.before_ != nullptr) {
        return;
    }
    if (line_.after_ == nullptr) {
        line_.before_ = line_.after_ = &line_;
    }
    sender.before_ = line_.before_;
    sender.after_ = &line_;
    line_.before_->after_ = &sender;
    line_.before_ = &sender;
    if (!is_scheduled_) {
        is_scheduled_ = true;
        schedule_();
    }
}

void SendTurns::run() {
    is_scheduled_ = false;
    for (std::size_t sent = 0; sent < sends_per_turn && !empty(); ++sent) {
        Sender& sender = *line_.after_;
        sender.leave();
        sender.send();
    }
    if (!empty() && !is_scheduled_) {
        is_scheduled_ = true;
        schedule_();
    }
}

}  // namespace cairn::server
