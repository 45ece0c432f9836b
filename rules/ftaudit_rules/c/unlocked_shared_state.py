"""FT377: state of an object that methods access without a common lock."""

from __future__ import annotations

from ftaudit.model import Confidence, Severity
from ftaudit.rule import Language, RuleInfo, SourceExample
from ftaudit.source import Room, SharedStateRule


class UnlockedSharedState(SharedStateRule):
    """Under the GIL only one method ran at a time. Without it, two threads can run two methods of one object at the
    same time. If both access the same field, at least one writes it, and they do not hold a common lock, the outcome
    depends on timing: memory is freed while it is in use, related fields no longer match, or an update is lost.

    The rule starts at the tables of methods, slots and getters, follows calls through the files of the project down to
    the field, and records the locks on the way. It reports each field once, with every place that accesses it.
    Constructors and destructors do not count, because no other code can reach the object while they run. Const methods
    of C++ classes with mutable fields count even if no binding names them: callers rely on const methods being safe to
    call at the same time. So do the methods of C++ classes whose objects own a lock, for fields that one method uses
    under a lock and another one without it, and for containers that several methods change without any lock.

    The severity depends on the worst outcome: an error if memory can be freed or moved while another thread uses it, or
    if an index can run past the end; a warning if related values can become inconsistent; and a note if an update of a
    number can be lost.
    """

    info = RuleInfo(
        code="FT377",
        name="unlocked-shared-state",
        summary="Methods that threads can run at the same time access the same field without a common lock.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Hold one lock in every function that accesses the field: `Py_BEGIN_CRITICAL_SECTION(op)` and "
            "`Py_END_CRITICAL_SECTION()`, where `op` is the Python object that holds the field, `self` or a capsule, "
            "or a `PyMutex` next to the field (Python 3.13). On older versions, define the macros as nothing: the GIL "
            "protects the field. A number that is independent of other fields can be an atomic instead."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/synchronization.html",
        ),
    )
    languages = frozenset({Language.C, Language.CPP})
    room = Room.C
    VALID = (
        SourceExample(
            code="""\
#include <mutex>
#include <optional>
class Region {
  public:
    const int &size() const {
        std::call_once(once_, [this] { size_.emplace(3); });
        return *size_;
    }
  private:
    mutable std::once_flag once_;
    mutable std::optional<int> size_;
};
""",
            path="region.cpp",
        ),
        SourceExample(
            code="""\
#include <map>
#include <mutex>
class Hub {
  public:
    Hub() { known_[0] = 0; }
    void add(int id) {
        std::lock_guard<std::mutex> guard(mutex_);
        grow(id);
    }
    void start() { known_.clear(); }
    bool running() { return running_; }
    void stop() {
        std::lock_guard<std::mutex> guard(mutex_);
        running_ = false;
    }
  private:
    void grow(int id) { known_[id] = 1; }
    std::map<int, int> known_;
    std::mutex mutex_;
    bool running_ = true;
};
""",
            path="hub.cpp",
        ),
        SourceExample(
            code="""\
#include <Python.h>
template <class T> struct ConcurrentQueue { void clear() const; };
using Queue = ConcurrentQueue<int>;
class Worker {
  public:
    void forget() const;
  private:
    mutable ConcurrentQueue<int> jobs_;
};
void Worker::forget() const {
    jobs_.clear();
}
""",
            path="worker.cpp",
        ),
        SourceExample(
            code="""\
#include <Python.h>
#include <map>
#include <mutex>
class Cache {
  private:
    std::map<int, double> items;
    mutable std::mutex mutex;
  public:
    bool get(int key, double *value) const {
        std::lock_guard<std::mutex> guard(mutex);
        auto found = items.find(key);
        if (found == items.end()) return false;
        *value = found->second;
        return true;
    }
    void set(int key, double value) {
        std::lock_guard<std::mutex> guard(mutex);
        items[key] = value;
    }
};
typedef struct { PyObject_HEAD Cache *cache; } Median;
static PyObject *median(PyObject *op, PyObject *arg) {
    Median *self = (Median *)op;
    double value;
    if (!self->cache->get(1, &value)) {
        value = 2.0;
        self->cache->set(1, value);
    }
    return PyFloat_FromDouble(value);
}
static PyMethodDef methods[] = {{"median", median, METH_O, NULL}, {NULL}};
""",
            path="median.cpp",
            instead=True,
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
struct Map {
    int offset;
    int stride;
    Map() {}
    explicit Map(int value);
    bool same(const Map &other) const { return offset == Map(other.stride).offset; }
};
Map::Map(int value) { offset = value; stride = value; }
PYBIND11_MODULE(maps, m, pybind11::mod_gil_not_used()) {
    pybind11::class_<Map>(m, "Map")
        .def("same", &Map::same)
        .def("__repr__", [](const Map &self) { return self.offset + self.stride; });
}
""",
            path="maps.cpp",
        ),
        SourceExample(
            code="""\
#include <Python.h>
typedef struct { PyObject_HEAD PyObject *hook; } Ctl;
typedef struct { Ctl *main; } State;
static Ctl *main_of(PyObject *m) {
    State *state = PyModule_GetState(m);
    return state->main;
}
static PyObject *set_hook(PyObject *m, PyObject *value) {
    Ctl *ctl = main_of(m);
    Py_BEGIN_CRITICAL_SECTION(ctl);
    Py_XSETREF(ctl->hook, Py_NewRef(value));
    Py_END_CRITICAL_SECTION();
    Py_RETURN_NONE;
}
static PyObject *get_hook(PyObject *m, PyObject *unused) {
    Ctl *ctl = main_of(m);
    PyObject *hook;
    Py_BEGIN_CRITICAL_SECTION(ctl);
    hook = Py_XNewRef(ctl->hook);
    Py_END_CRITICAL_SECTION();
    return hook;
}
static PyMethodDef methods[] = {{"set_hook", set_hook, METH_O}, {"get_hook", get_hook, METH_NOARGS}, {0}};
""",
        ),
        SourceExample(
            code="""\
#include <Python.h>
typedef struct { PyObject_HEAD PyObject *hook; } Ring;
typedef struct { PyObject_HEAD Ring *ring; } View;
static void attach(Ring *ring, PyObject *hook) { Py_XSETREF(ring->hook, Py_NewRef(hook)); }
static PyObject *view(PyObject *op, PyObject *hook) {
    View *made = PyObject_New(View, &ViewType);
    made->ring = PyObject_New(Ring, &RingType);
    attach(made->ring, hook);
    return (PyObject *)made;
}
static PyObject *get_hook(PyObject *op, PyObject *unused) { return Py_XNewRef(((Ring *)op)->hook); }
static PyMethodDef methods[] = {{"view", view, METH_O}, {"hook", get_hook, METH_NOARGS}, {0}};
""",
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
struct Batch {
    std::mutex mutex;
    std::vector<int> items;
};
PYBIND11_MODULE(batches, m, pybind11::mod_gil_not_used()) {
    using Self = Batch;
    pybind11::class_<Batch>(m, "Batch")
        .def("add", [](Self &self, int item) {
            std::lock_guard<std::mutex> guard(self.mutex);
            self.items.push_back(item);
        })
        .def("first", [](Self &self) { std::lock_guard<std::mutex> guard(self.mutex); return self.items[0]; });
}
""",
            path="batches.cpp",
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include "counter.h"
static std::unique_ptr<Counter> counter;
PYBIND11_MODULE(tracking, m, pybind11::mod_gil_not_used()) {
    m.def("start", []() { counter->Size(); });
    m.def("value", []() { return counter->value(); });
}
""",
            path="tracking.cpp",
            others=(
                (
                    "counter.h",
                    """\
class Counter : public Base {
  public:
    int value() { return total; }
    int total = 0;
};
""",
                ),
            ),
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include <mutex>
#include "slots.h"
static std::unique_ptr<Slots> slots;
void Slots::start(int id) { std::lock_guard<std::mutex> guard(mutex); contexts.push_back(id); }
int Slots::first() { std::lock_guard<std::mutex> guard(mutex); return contexts[0]; }
PYBIND11_MODULE(tracking, m, pybind11::mod_gil_not_used()) {
    m.def("start", [](int id) { slots->start(id); });
    m.def("first", []() { return slots->first(); });
}
""",
            path="tracking.cpp",
            others=(
                (
                    "slots.h",
                    """\
class Slots {
  public:
    void start(int id);
    int first();
  private:
    std::mutex mutex;
    std::vector<int> contexts;
};
""",
                ),
            ),
        ),
        SourceExample(
            code="""\
#include <Python.h>
typedef struct { PyObject_HEAD PyObject *hook; Py_ssize_t calls; } Ctl;
static int set_hook(PyObject *op, PyObject *value, void *closure) {
    Ctl *self = (Ctl *)op;
    Py_BEGIN_CRITICAL_SECTION(op);
    Py_XSETREF(self->hook, Py_XNewRef(value));
    self->calls += 1;
    Py_END_CRITICAL_SECTION();
    return 0;
}
static PyObject *hook_lock_held(Ctl *self) { return Py_XNewRef(self->hook); }
static PyObject *get_hook(PyObject *op, void *closure) {
    PyObject *result;
    Py_BEGIN_CRITICAL_SECTION(op);
    result = hook_lock_held((Ctl *)op);
    Py_END_CRITICAL_SECTION();
    return result;
}
static PyGetSetDef getset[] = {{"hook", get_hook, set_hook}, {0}};
""",
        ),
        SourceExample(
            code="""\
#include <Python.h>
#include <stdlib.h>
typedef struct { PyObject_HEAD char *data; Py_ssize_t size; } Buf;
static PyObject *buf_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    Buf *self = (Buf *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->size = 16;
    self->data = malloc(16);
    return (PyObject *)self;
}
static void buf_dealloc(PyObject *op) { free(((Buf *)op)->data); Py_TYPE(op)->tp_free(op); }
static Py_ssize_t buf_len(PyObject *op) { return ((Buf *)op)->size; }
static PyType_Slot slots[] = {
    {Py_tp_new, buf_new}, {Py_tp_dealloc, buf_dealloc}, {Py_sq_length, buf_len}, {0, NULL},
};
""",
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include <mutex>
#include <vector>
struct Bag {
    std::mutex mutex;
    std::vector<int> items;
    void add(int value) { std::lock_guard<std::mutex> guard(mutex); items.push_back(value); }
    int first() { std::lock_guard<std::mutex> guard(mutex); return items[0]; }
};
PYBIND11_MODULE(bags, m, pybind11::mod_gil_not_used()) {
    pybind11::class_<Bag>(m, "Bag").def("add", &Bag::add).def("first", &Bag::first);
}
""",
            path="bags.cpp",
        ),
        SourceExample(
            code="""\
#include <memory>
#include <mutex>
struct Tree { int depth; };
class Mesh {
  public:
    const Tree &tree() const {
        std::lock_guard<std::mutex> guard(mutex_);
        if (!tree_) tree_ = std::make_shared<Tree>();
        return *tree_;
    }
  private:
    mutable std::mutex mutex_;
    mutable std::shared_ptr<Tree> tree_;
};
""",
            path="mesh.cpp",
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include <string>
struct Options { std::string name; int size; };
PYBIND11_MODULE(options, m, pybind11::mod_gil_not_used()) {
    pybind11::class_<Options>(m, "Options").def_readonly("name", &Options::name);
}
""",
            path="options.cpp",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#include <map>
#include <mutex>
struct Client;
class Hub {
  public:
    explicit Hub(int size) : size_(size) {}
    void add(int id, Client *client) {
        std::lock_guard<std::mutex> guard(mutex_);
        clients_[id] = client;
    }
    bool remove(int id) { return clients_.erase(id) > 0; }
  private:
    std::map<int, Client *> clients_;
    std::mutex mutex_;
    int size_;
};
""",
            lines=(11,),
            path="hub.cpp",
        ),
        SourceExample(
            code="""\
#include <memory>
#include <mutex>
#include <vector>
struct Line {
    std::mutex mutex;
    std::vector<int> samples;
};
class Server {
  public:
    void push(std::shared_ptr<Line> line, int value) { line->samples.push_back(value); }
    int pop(std::shared_ptr<Line> line) {
        std::lock_guard<std::mutex> guard(line->mutex);
        int value = line->samples.back();
        line->samples.pop_back();
        return value;
    }
};
""",
            lines=(10,),
            path="server.cpp",
        ),
        SourceExample(
            code="""\
#include <map>
#include <memory>
class Visitor {
  public:
    explicit Visitor(std::map<int, int> &found);
};
class Inspector {
  public:
    void inspect() const { Visitor visitor(found_); }
  private:
    mutable std::map<int, int> found_;
};
""",
            lines=(9,),
            path="inspector.cpp",
        ),
        SourceExample(
            code="""\
#include <Python.h>
#include <vector>
struct Node { int id; };
using nodes_t = std::vector<Node *>;
class Tree {
  public:
    nodes_t &leaves() const;
  private:
    mutable nodes_t leaves_;
};
nodes_t &Tree::leaves() const {
    leaves_.clear();
    return leaves_;
}
""",
            path="tree.cpp",
            lines=(12,),
        ),
        SourceExample(
            code="""\
#include <Python.h>
struct context { char *buffer; size_t used; size_t size; };
static PyObject *feed(PyObject *self, PyObject *capsule) {
    struct context *ctx = (struct context *)PyCapsule_GetPointer(capsule, "context");
    if (ctx == NULL) return NULL;
    ctx->buffer = realloc(ctx->buffer, ctx->size * 2);
    Py_RETURN_NONE;
}
static PyObject *text(PyObject *self, PyObject *capsule) {
    struct context *ctx = (struct context *)PyCapsule_GetPointer(capsule, "context");
    return ctx == NULL ? NULL : PyBytes_FromStringAndSize(ctx->buffer, (Py_ssize_t)ctx->used);
}
static PyMethodDef methods[] = {
    {"feed", feed, METH_O, NULL}, {"text", text, METH_O, NULL}, {NULL, NULL, 0, NULL}};
""",
            lines=(6,),
        ),
        SourceExample(
            code="""\
#include <memory>
struct Tree { int depth; };
class Mesh {
  public:
    const Tree &tree() const {
        if (!tree_) tree_ = std::make_shared<Tree>();
        return *tree_;
    }
  private:
    mutable std::shared_ptr<Tree> tree_;
};
""",
            lines=(6,),
            path="mesh.cpp",
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include <map>
#include <string>
class Registry {
  public:
    static Registry &instance() { static Registry registry; return registry; }
    void add(const std::string &name, pybind11::object value) { values[name] = value; }
    pybind11::object get(const std::string &name) { return values.at(name); }
  private:
    std::map<std::string, pybind11::object> values;
};
PYBIND11_MODULE(registry, m, pybind11::mod_gil_not_used()) {
    m.def("add", [](std::string name, pybind11::object value) { Registry::instance().add(name, value); });
    m.def("get", [](std::string name) { return Registry::instance().get(name); });
}
""",
            lines=(7,),
            path="registry.cpp",
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
namespace {
struct State { pybind11::object found; bool loaded = false; };
State &state() { static State only; return only; }
}
static void load() {
    auto &only = state();
    if (!only.loaded) {
        only.found = pybind11::module_::import("decimal");
        only.loaded = true;
    }
}
static pybind11::object find() {
    load();
    return state().found;
}
PYBIND11_MODULE(finder, m, pybind11::mod_gil_not_used()) { m.def("find", &find); }
""",
            lines=(9, 10),
            path="finder.cpp",
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include <vector>
template <typename T> class Series {
  public:
    void append(T value) { values_.push_back(value); }
    T at(size_t index) { return values_[index]; }
  private:
    std::vector<T> values_;
};
PYBIND11_MODULE(series, m, pybind11::mod_gil_not_used()) {
    pybind11::class_<Series<int>>(m, "Series").def("append", &Series<int>::append).def("at", &Series<int>::at);
}
""",
            lines=(5,),
            path="series.cpp",
        ),
        SourceExample(
            code="""\
#include <Python.h>
#include <map>
struct Items { PyObject_HEAD std::map<long, PyObject *> *by_key; };
static PyObject *put(PyObject *op, PyObject *value) {
    Items *self = reinterpret_cast<Items *>(op);
    (*self->by_key)[1] = Py_NewRef(value);
    Py_RETURN_NONE;
}
static PyObject *get(PyObject *op, PyObject *key) {
    Items *self = reinterpret_cast<Items *>(op);
    return Py_NewRef(self->by_key->at(PyLong_AsLong(key)));
}
static PyMethodDef methods[] = {{"put", put, METH_O, NULL}, {"get", get, METH_O, NULL}, {NULL}};
""",
            lines=(6,),
            path="items.cpp",
        ),
        SourceExample(
            code="""\
#include <Python.h>
#include <map>
#include <mutex>
class Cache {
  private:
    std::map<int, double> items;
    mutable std::mutex mutex;
  public:
    bool get(int key, double *value) const {
        auto found = items.find(key);
        if (found == items.end()) return false;
        *value = found->second;
        return true;
    }
    void set(int key, double value) {
        items[key] = value;
    }
};
typedef struct { PyObject_HEAD Cache *cache; } Median;
static PyObject *median(PyObject *op, PyObject *arg) {
    Median *self = (Median *)op;
    double value;
    if (!self->cache->get(1, &value)) {
        value = 2.0;
        self->cache->set(1, value);
    }
    return PyFloat_FromDouble(value);
}
static PyMethodDef methods[] = {{"median", median, METH_O, NULL}, {NULL}};
""",
            lines=(16,),
            path="median.cpp",
        ),
        SourceExample(
            code="""\
#include <Python.h>
typedef struct { PyObject_HEAD PyObject *hook; } Ctl;
typedef struct { Ctl *main; } State;
static Ctl *main_of(PyObject *m) {
    State *state = PyModule_GetState(m);
    return state->main;
}
static PyObject *set_hook(PyObject *m, PyObject *value) {
    Ctl *ctl = main_of(m);
    Py_XSETREF(ctl->hook, Py_NewRef(value));
    Py_RETURN_NONE;
}
static PyObject *get_hook(PyObject *m, PyObject *unused) {
    Ctl *ctl = main_of(m);
    PyObject *hook;
    hook = Py_XNewRef(ctl->hook);
    return hook;
}
static PyMethodDef methods[] = {{"set_hook", set_hook, METH_O}, {"get_hook", get_hook, METH_NOARGS}, {0}};
""",
            lines=(10,),
        ),
        SourceExample(
            code="""\
#include <Python.h>
typedef struct { PyObject_HEAD PyObject *hook; } Ring;
typedef struct { PyObject_HEAD Ring *ring; } View;
static void attach(Ring *ring, PyObject *hook) { Py_XSETREF(ring->hook, Py_NewRef(hook)); }
static PyObject *view(PyObject *op, PyObject *hook) {
    View *made = PyObject_New(View, &ViewType);
    made->ring = (Ring *)op;
    attach(made->ring, hook);
    return (PyObject *)made;
}
static PyObject *get_hook(PyObject *op, PyObject *unused) { return Py_XNewRef(((Ring *)op)->hook); }
static PyMethodDef methods[] = {{"view", view, METH_O}, {"hook", get_hook, METH_NOARGS}, {0}};
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
struct Batch {
    std::mutex mutex;
    std::vector<int> items;
};
PYBIND11_MODULE(batches, m, pybind11::mod_gil_not_used()) {
    using Self = Batch;
    pybind11::class_<Batch>(m, "Batch")
        .def("add", [](Self &self, int item) { self.items.push_back(item); })
        .def("first", [](Self &self) { return self.items[0]; });
}
""",
            lines=(9,),
            path="batches.cpp",
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include "counter.h"
static std::unique_ptr<Counter> counter;
PYBIND11_MODULE(tracking, m, pybind11::mod_gil_not_used()) {
    m.def("start", []() { counter->Reset(); });
    m.def("value", []() { return counter->value(); });
}
""",
            lines=(5,),
            path="tracking.cpp",
            others=(
                (
                    "counter.h",
                    """\
class Counter : public Base {
  public:
    int value() { return total; }
    int total = 0;
};
""",
                ),
            ),
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include "slots.h"
static std::unique_ptr<Slots> slots;
void Slots::start(int id) { contexts.push_back(id); }
int Slots::first() { return contexts[0]; }
PYBIND11_MODULE(tracking, m, pybind11::mod_gil_not_used()) {
    m.def("start", [](int id) { slots->start(id); });
    m.def("first", []() { return slots->first(); });
}
""",
            lines=(4,),
            path="tracking.cpp",
            others=(
                (
                    "slots.h",
                    """\
class Slots {
  public:
    void start(int id);
    int first();
  private:
    std::vector<int> contexts;
};
""",
                ),
            ),
        ),
        SourceExample(
            code="""\
#include <Python.h>
typedef struct { PyObject_HEAD PyObject *hook; Py_ssize_t calls; } Ctl;
static int set_hook(PyObject *op, PyObject *value, void *closure) {
    Ctl *self = (Ctl *)op;
    Py_BEGIN_CRITICAL_SECTION(op);
    Py_XSETREF(self->hook, Py_XNewRef(value));
    Py_END_CRITICAL_SECTION();
    return 0;
}
static PyObject *get_hook(PyObject *op, void *closure) {
    Ctl *self = (Ctl *)op;
    return Py_XNewRef(self->hook);
}
static PyObject *count(PyObject *op, PyObject *unused) {
    Ctl *self = (Ctl *)op;
    self->calls++;
    return PyLong_FromSsize_t(self->calls);
}
static PyGetSetDef getset[] = {{"hook", get_hook, set_hook}, {0}};
static PyMethodDef methods[] = {{"count", count, METH_NOARGS, NULL}, {0}};
""",
            lines=(12, 16),
        ),
        SourceExample(
            code="""\
#include <Python.h>
#include "trie.h"
static void grow(Trie *trie) {
    trie->root = resize_nodes(trie->root);
    trie->count += 1;
}
static PyObject *add(PyObject *op, PyObject *word) { grow((Trie *)op); Py_RETURN_NONE; }
static Py_ssize_t length(PyObject *op) { return ((Trie *)op)->count; }
#define METHOD(name, flags) {#name, (PyCFunction)name, flags, NULL}
static PyMethodDef methods[] = {METHOD(add, METH_O), {0}};
static PySequenceMethods sequence = {length};
""",
            lines=(4, 5),
            path="trie.c",
            others=(
                (
                    "trie.h",
                    """\
typedef struct node Node;
Node *resize_nodes(Node *root);
typedef struct { PyObject_HEAD Node *root; int count; } Trie;
""",
                ),
            ),
        ),
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include <vector>
struct Bag {
    std::vector<int> items;
    void add(int value) { items.push_back(value); }
    int first() const { return items[0]; }
};
PYBIND11_MODULE(bags, m, pybind11::mod_gil_not_used()) {
    pybind11::class_<Bag>(m, "Bag").def("add", &Bag::add).def("first", &Bag::first);
}
""",
            lines=(5,),
            path="bags.cpp",
        ),
    )
