#include "server/gateway/gateway_port.h"

#include <utility>

#include <boost/asio/post.hpp>

namespace cairn::server {

GatewayPort::GatewayPort(boost::asio::io_context& gateway_context,
                         boost::asio::io_context& raft_context, Replica& replica,
                         const NodeView& view)
    : gateway_context_(gateway_context),
      raft_context_(raft_context),
      replica_(replica),
      view_(view),
      same_thread_(&gateway_context == &raft_context) {}

void GatewayPort::submit(std::shared_ptr<Operation> operation) {
    ask(std::move(operation));
}

void GatewayPort::open_stream(std::shared_ptr<StreamOpen> open) {
    ask(std::move(open));
}

void GatewayPort::ask(Question question) {
    if (same_thread_) {
        take_question(question);
    } else if (questions_.put(std::move(question))) {
        boost::asio::post(raft_context_, [this] { take_questions(); });
    }
}

void GatewayPort::take_question(Question& question) {
    if (auto* operation = std::get_if<std::shared_ptr<Operation>>(&question)) {
        replica_.submit(std::move(*operation), *this);
    } else {
        replica_.open_stream(std::move(std::get<std::shared_ptr<StreamOpen>>(question)), *this);
    }
}

void GatewayPort::take_questions() {
    questions_.take_all(taken_questions_);
    for (Question& question : taken_questions_) {
        take_question(question);
    }
    taken_questions_.clear();
}

void GatewayPort::finished(std::shared_ptr<Operation> operation) {
    outgoing_.emplace_back(std::move(operation));
}

void GatewayPort::opened(std::shared_ptr<StreamOpen> open) {
    outgoing_.emplace_back(std::move(open));
}

void GatewayPort::published(const std::shared_ptr<const EventBatch>& batch) {
    outgoing_.emplace_back(batch);
}

void GatewayPort::flush() {
    if (outgoing_.empty()) {
        return;
    }
    if (same_thread_) {
        // What a delivery asks for in turn comes back through request_turn, never into this loop.
        std::swap(taken_answers_, outgoing_);
        for (Answer& answer : taken_answers_) {
            deliver(answer);
        }
        taken_answers_.clear();
    } else if (answers_.put_all(outgoing_)) {
        boost::asio::post(gateway_context_, [this] { take_answers(); });
    }
}

void GatewayPort::take_answers() {
    answers_.take_all(taken_answers_);
    for (Answer& answer : taken_answers_) {
        deliver(answer);
    }
    taken_answers_.clear();
}

void GatewayPort::deliver(Answer& answer) {
    if (auto* operation = std::get_if<std::shared_ptr<Operation>>(&answer)) {
        if ((*operation)->on_done) {
            (*operation)->on_done();
        }
    } else if (auto* open = std::get_if<std::shared_ptr<StreamOpen>>(&answer)) {
        if ((*open)->on_done) {
            (*open)->on_done();
        }
    } else if (listener_ != nullptr) {
        listener_->on_events(std::get<std::shared_ptr<const EventBatch>>(answer));
    }
}

}  // namespace cairn::server
