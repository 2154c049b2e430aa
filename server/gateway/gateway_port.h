// The two ends between one gateway and the replica: the Backend that the gateway calls and the Port
// that the replica answers to.
//
// When the gateway runs on the raft thread both are plain calls; otherwise bursts go through a
// mailbox in each direction, in order, with one wake-up each. Backend's functions are called on the
// gateway's thread, Port's on the raft thread.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "server/base/mailbox.h"
#include "server/node/backend.h"
#include "server/node/port.h"
#include "server/node/replica.h"

namespace cairn::server {

class GatewayPort final : public Backend, public Port {
 public:
    GatewayPort(boost::asio::io_context& gateway_context, boost::asio::io_context& raft_context,
                Replica& replica, const NodeView& view);

    // Backend
    void submit(std::shared_ptr<Operation> operation) override;
    void open_stream(std::shared_ptr<StreamOpen> open) override;
    void set_listener(EventListener* listener) override { listener_ = listener; }
    const NodeView& view() const override { return view_; }

    // Port
    void finished(std::shared_ptr<Operation> operation) override;
    void opened(std::shared_ptr<StreamOpen> open) override;
    void published(const std::shared_ptr<const EventBatch>& batch) override;
    void flush() override;

 private:
    using Question = std::variant<std::shared_ptr<Operation>, std::shared_ptr<StreamOpen>>;
    using Answer = std::variant<std::shared_ptr<Operation>, std::shared_ptr<StreamOpen>,
                                std::shared_ptr<const EventBatch>>;

    void ask(Question question);
    void take_question(Question& question);
    void take_questions();
    void deliver(Answer& answer);
    void take_answers();

    boost::asio::io_context& gateway_context_;
    boost::asio::io_context& raft_context_;
    Replica& replica_;
    const NodeView& view_;
    const bool same_thread_;
    EventListener* listener_ = nullptr;  // gateway thread
    Mailbox<Question> questions_;
    std::vector<Question> taken_questions_;  // raft thread
    std::vector<Answer> outgoing_;           // raft thread: this turn's answers
    Mailbox<Answer> answers_;
    std::vector<Answer> taken_answers_;  // gateway thread
};

}  // namespace cairn::server
