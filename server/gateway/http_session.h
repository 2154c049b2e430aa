// One HTTP/1.1 connection: receives requests, has them decided, asks the node, sends the answers.
//
// Owned by its own coroutine on the gateway thread. Requests are answered one after the other, in
// order; answers to pipelined requests leave together. advance() holds the logic and never
// suspends; run() only receives, sends and waits. A request reaches the router only if the gate
// accepted its head and its body is complete and within bounds. Whatever makes the end of a request
// doubtful is answered and ends the connection, and the client gets the time to read that answer.
// The session has no timer; its deadline is swept by the gateway. It knows no route and no value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/api/exchange.h"
#include "server/gateway/connection.h"
#include "server/http/chunked_body.h"
#include "server/http/input_buffer.h"
#include "server/http/request_gate.h"

namespace cairn::server {

class HttpSession : public Connection {
 public:
    // What a connection may keep for itself between requests; more is given back and, while it is
    // needed, counted against all connections' common bound.
    static constexpr std::size_t input_bytes_kept = 64 * 1024;
    static constexpr std::string_view too_much_buffered =
        "This node holds as many large requests and answers as it can.";

    static void start(std::shared_ptr<GatewayState> gateway, Socket socket);

    HttpSession(std::shared_ptr<GatewayState> gateway, Socket socket);
    ~HttpSession() override;

    void close() override;
    void expire() override;
    void drain() override;

 private:
    enum class Stage : std::uint8_t {
        head,   // of the next request
        body,   // the head is accepted
        ready,  // the request is complete
    };
    enum class Step : std::uint8_t {
        read,     // more of the request
        write,    // enough answers are waiting
        enter,    // a large request needs room with the node
        operate,  // ask the node
        stream,   // become a stream
        finish,   // send what is waiting, then end the connection
    };

    static Task run(std::shared_ptr<HttpSession> self);
    static net::awaitable<bool, Executor> send_rest(HttpSession& session, std::size_t sent);
    static net::awaitable<bool, Executor> send_download(HttpSession& session);
    static net::awaitable<bool, Executor> become_stream(HttpSession& session);
    void become_websocket(std::unique_ptr<StreamSource> source);
    static Task linger(HttpSession& session);
    static net::awaitable<bool, Executor> wait_for_room(HttpSession& session, BodyRoom::Place& room,
                                                        std::size_t bytes);
    static Task watch_client(std::shared_ptr<HttpSession> self);

    // Goes as far as it can with what has been received. These say whether there is more to do
    // without receiving more.
    Step advance();
    bool take_head();
    bool take_body();
    bool take_chunks();
    void accept_head(std::size_t head_bytes);

    void submit();
    void answer_operation();
    void end_wait(Failure failure);
    void stop_watching();
    void refuse(HttpResponse response);
    void respond(const Operation* asked);
    void count_answer(int status);
    // Answers with the request's id and writes the log's line, where there is reason to.
    void trace_answer(const Operation* asked, int status);
    void log_answer(const Operation* asked, int status, std::string_view request_id);
    std::string_view remote_address();
    void end_request();

    std::size_t reading_room_wanted() const;
    bool wants_working_room() const;
    void refuse_overloaded();
    void respond_overloaded();
    void leave_rooms();
    bool prepare_read();
    bool charge();
    void set_read_deadline();
    void set_write_deadline();
    std::chrono::milliseconds time_for(std::size_t bytes) const;

    Socket socket_;
    Event wake_;  // the operation is done, or the stream's opening
    bool closed_ = false;
    bool idle_ = false;  // waiting for the first byte of a request
    bool has_answered_ = false;
    bool finishing_ = false;   // no request is taken any more
    bool polling_ = false;     // the operation is a long poll, which may be ended
    bool is_watched_ = false;  // by watch_client(), as all before the poll has been sent

    InputBuffer input_;
    std::string output_;
    std::size_t charged_bytes_ = 0;  // of gateway_->buffered_bytes
    BodyRoom::Place reading_room_;   // of a large body, from before it is read until it is answered
    BodyRoom::Place working_room_;   // from before the node has it
    std::chrono::milliseconds waited_{};  // for the latter

    Stage stage_ = Stage::head;
    std::size_t scanned_bytes_ = 0;
    bool skipped_line_ = false;
    RequestHead head_;
    std::size_t head_bytes_ = 0;
    std::size_t body_bytes_ = 0;      // with Content-Length
    std::size_t received_bytes_ = 0;  // of the body, while it is waited for
    TimePoint stage_began_{};
    bool stage_is_timed_ = false;
    std::int64_t received_ns_ = 0;  // when the request was complete, by the replica's clock
    std::int64_t answered_ns_ = 0;
    RequestTrace trace_;           // of the complete request, until it is answered
    std::string remote_;           // once it was asked for
    bool wants_continue_ = false;  // 100 Continue, before the body
    bool head_is_stale_ = false;   // the buffer has moved since the head was parsed
    std::string chunked_head_;     // keeps the head while chunks pass through the buffer
    std::unique_ptr<ChunkedBody> chunked_body_;

    Exchange exchange_;
    std::shared_ptr<Operation> operation_;
    std::shared_ptr<Subscription> subscription_;  // while it is being opened
    std::shared_ptr<const Download> download_;    // what the answer's body is to be made of
};

}  // namespace cairn::server
