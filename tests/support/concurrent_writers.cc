#include "support/concurrent_writers.h"

#include <fmt/format.h>

#include <chrono>

#include "support/must.h"

namespace pitr::test {

// One session. Errors are exceptions: the thread's function catches them.
class ConcurrentWriters::Writer {
 public:
  Writer(const std::string& conninfo, unsigned number, std::uint64_t seed)
      : connection_(must(Connection::open(conninfo))),
        number_(number),
        next_id_(std::int64_t{number} * 1'000'000 + 1),
        random_(seed) {}

  struct Done {
    std::uint32_t xid = 0;
    std::vector<RowChange> changes;
  };
  Done run_transaction() {
    Done done;
    must(connection_.command("BEGIN"));
    done.xid =
        static_cast<std::uint32_t>(number_of("SELECT pg_current_xact_id()::text AS value").value());
    for (int i = pick(1, 3); i > 0; --i) insert(done);
    if (chance(4)) insert_in_savepoint(done, chance(2));
    if (chance(3)) remove_some(done);
    end(done);
    if (chance(12)) {
      must(connection_.command(
          fmt::format("SELECT pg_create_restore_point('point_{}_{}')", number_, ++points_)));
    }
    return done;
  }

 private:
  int pick(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }
  bool chance(int one_in) { return pick(1, one_in) == 1; }
  std::optional<std::int64_t> number_of(const std::string& sql) {
    const auto result = must(connection_.query(sql));
    if (result.empty()) return std::nullopt;
    return std::stoll(must(result[0].text("value")));
  }

  void insert(Done& done) {
    const auto id = next_id_++;
    must(connection_.command(
        fmt::format("INSERT INTO rows VALUES ({}, repeat(md5('{}'), {}))", id, id, pick(1, 60))));
    done.changes.push_back({id, true});
  }
  void insert_in_savepoint(Done& done, bool keep) {
    must(connection_.command("SAVEPOINT s"));
    insert(done);
    must(connection_.command(keep ? "RELEASE s" : "ROLLBACK TO s"));
    if (!keep) done.changes.pop_back();
  }
  // One of its own rows that it can see; those of prepared transactions it cannot.
  void remove_some(Done& done) {
    const auto low = std::int64_t{number_} * 1'000'000;
    const auto id = number_of(
        fmt::format("DELETE FROM rows WHERE id = (SELECT id FROM rows WHERE id > {} AND id < {} "
                    "ORDER BY id LIMIT 1) RETURNING id::text AS value",
                    low, low + 1'000'000));
    if (id) done.changes.push_back({*id, false});
  }
  bool only_inserts(const Done& done) const {
    for (const auto& change : done.changes) {
      if (!change.inserted) return false;
    }
    return true;
  }
  void end(const Done& done) {
    const int way = pick(1, 20);
    if (way <= 3) {
      must(connection_.command("ROLLBACK"));
    } else if (way <= 6 && only_inserts(done)) {
      prepare();
    } else {
      must(connection_.command("COMMIT"));
    }
    if (prepared_.size() > 2 && chance(2)) {  // the oldest, often long after others
      must(connection_.command(
          fmt::format("{} PREPARED '{}'", chance(4) ? "ROLLBACK" : "COMMIT", prepared_.front())));
      prepared_.erase(prepared_.begin());
    }
  }
  void prepare() {
    prepared_.push_back(fmt::format("prepared_{}_{}", number_, ++points_));
    must(connection_.command(fmt::format("PREPARE TRANSACTION '{}'", prepared_.back())));
  }

  Connection connection_;
  const unsigned number_;
  std::int64_t next_id_;
  std::mt19937_64 random_;
  int points_ = 0;
  std::vector<std::string> prepared_;
};

ConcurrentWriters::ConcurrentWriters(TestCluster& cluster, unsigned writers, std::uint64_t seed)
    : conninfo_(cluster.conninfo()) {
  for (unsigned i = 0; i < writers; ++i) {
    threads_.emplace_back([this, i, seed](std::stop_token stop) { write(i + 1, seed + i, stop); });
  }
}

void ConcurrentWriters::write(unsigned number, std::uint64_t seed, std::stop_token stop) {
  try {
    Writer writer(conninfo_, number, seed);
    while (!stop.stop_requested()) {
      auto done = writer.run_transaction();
      std::lock_guard lock(mutex_);
      changes_[done.xid] = std::move(done.changes);
      ++ended_;
    }
  } catch (const std::exception& exception) {
    std::lock_guard lock(mutex_);
    failure_ = exception.what();
  }
}

void ConcurrentWriters::run_for(std::uint64_t transactions) {
  const auto until = ended_ + transactions;
  while (ended_ < until) {
    {
      std::lock_guard lock(mutex_);
      if (!failure_.empty()) throw std::runtime_error("a writer failed: " + failure_);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void ConcurrentWriters::stop() {
  for (auto& thread : threads_) thread.request_stop();
  threads_.clear();  // joins
}

}  // namespace pitr::test
